"""Jobs for gateways that do nothing: what is tried is the way to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class IdleJob:
    """Do nothing at a place."""

    labels: Mapping[str, str]
    is_node: bool = False

    def __call__(self, keeps_on: Callable[[], bool]) -> None:
        """End at once."""
