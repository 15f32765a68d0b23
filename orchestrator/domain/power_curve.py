"""Hold the readings of a power source over a trial, for drawings and their tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """Hold the power of a counted trial over the lifetime of the trial's process.

    `seconds` count from the first reading. `watts` are those of a gauge, or the mean since the reading before of a
    counter of energy.
    """

    attempt: int
    trial_index: int
    source: str
    seconds: tuple[float, ...]
    watts: tuple[float, ...]
