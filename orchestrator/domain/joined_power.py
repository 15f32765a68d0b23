"""Describe attempts whose power a meter has seen, and what the meter's readings say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class MeteredAttempt:
    """Hold what an attempt says of its time on the device. Times are of CLOCK_MONOTONIC in ns.

    `invoked_ns` is the time of all inferences together. `idle_before` and `idle_after` are begin and end of the times
    in which nothing ran. `finished_unix_ns` is by the device's clock, which may be wrong. `source` is the present
    source of the attempt's figures. `items` is the number of items of an inference, where the sweep names a batch.
    """

    attempt: int
    window: tuple[int, int] | None
    inferences: int
    invoked_ns: int
    idle_before: tuple[int, int] | None = None
    idle_after: tuple[int, int] | None = None
    finished_unix_ns: int | None = None
    source: str | None = None
    items: int | None = None


@dataclass(frozen=True, slots=True)
class JoinedPower:
    """Hold the figures of an attempt by metric, and the account: the fields of `power_account` by name.

    `trace` is as in the worker protocol, None without readings.
    """

    attempt: int
    figures: Mapping[str, float]
    account: Mapping[str, Any]
    trace: Mapping[str, Any] | None
