"""Describe how the power of trials was measured, by the devices' own accounts."""

from __future__ import annotations

from dataclasses import dataclass

OWN_SOURCE = "the trial itself"
"""Stands for a source's name: the trial's program reported the figure."""

UNRECORDED_SOURCE = "a source that is not on record"
"""Stands for a source's name: the figure was stored by a release which did not store sources."""

NO_ACCOUNT = "its worker gave no account of power"


@dataclass(frozen=True, slots=True)
class PowerUse:
    """Describe a common way to measure power of several counted measure trials of a device in a run.

    `rate_hz` (readings per second), `idle_w` (idle power in watts) and `overhead_ratio` (CPU time of the readings over
    the lifetime of the trial process) are means over the trials. `reason` says why there are no figures.
    `energy_reason` says why the energy above idle alone is missing. `caution` says why the figures may be off.
    """

    device: str
    source: str | None
    kind: str | None
    trials: int
    rate_hz: float | None
    idle_w: float | None
    overhead_ratio: float | None
    reason: str | None = None
    energy_reason: str | None = None
    caution: str | None = None
