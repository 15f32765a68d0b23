"""Hold everything that a report of a run shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.build import Environment
from orchestrator.domain.comparison import Comparison
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.run_difference import RunDifference


@dataclass(frozen=True, slots=True)
class CellLevel:
    """Hold the headline figure of a cell, in nanoseconds: the geometric mean over trials with its 95 % interval.

    `reason` says why there is no figure.
    """

    device: str
    label: str
    value: float | None
    low: float | None
    high: float | None
    trials: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """Hold a run to be reported, compared with another run or within itself.

    `uncompared` says why there is no comparison. `difference` is None without another run. `environments` are those
    that each device had while the run was under way.
    """

    details: RunDetails
    levels: tuple[CellLevel, ...]
    comparison: Comparison | None
    uncompared: str | None
    difference: RunDifference | None
    environments: Mapping[str, Sequence[Environment]]
