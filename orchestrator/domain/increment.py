"""Ask for the cells of a sweep that lack a counted result, and leave the others out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MISSING, STALE_S = "missing", "stale_s"
"""The keys among a run's settings, so that a resume keeps to the same cells."""


@dataclass(frozen=True, slots=True)
class Increment:
    """Ask for the cells without a counted result alone. With `stale_s`, an older result counts as none, in seconds."""

    stale_s: float | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return what a run keeps among its settings."""
        return {MISSING: True} if self.stale_s is None else {STALE_S: self.stale_s}


def increment_of(settings: Mapping[str, Any]) -> Increment | None:
    """Return what a run's settings ask for, or None for every cell."""
    if STALE_S in settings:
        return Increment(float(settings[STALE_S]))
    return Increment() if settings.get(MISSING) else None


@dataclass(frozen=True, slots=True)
class CountedJob:
    """Hold a job with counted measure trials: its key, run and device, and what the device and the plan were.

    `identity_hash` is None for a plan of unknown facts.
    """

    key: str
    run: str
    started_at: datetime
    trials: int
    identity_hash: str | None
    plan_sha256: str
