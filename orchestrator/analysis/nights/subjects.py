"""Hold the input of a night's stages, and the conclusions of the stages. Values are natural logarithms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.domain.night import NightEstimate, NightStage, NightVerdict
from orchestrator.domain.nightly import EXTRA, EXTRA_MOST


class CellKey(NamedTuple):
    """Name a cell of a device from night to night. `slot` names the cell under any version of the runtime."""

    device: str
    slot: str


class Key(NamedTuple):
    """Name one metric of a cell."""

    device: str
    slot: str
    metric: str

    @property
    def cell(self) -> CellKey:
        """Return the cell."""
        return CellKey(self.device, self.slot)


@dataclass(frozen=True, slots=True)
class OpenRegression:
    """Hold a standing regression. `change` is candidate over baseline, None for a cell that had no value.

    `verdict` is the verdict of the last night with a worse cell.
    """

    id: int | None
    change: float | None
    since: str
    known: bool
    verdict: NightVerdict


@dataclass(frozen=True, slots=True)
class BaselineSide:
    """Hold a cell's baseline: an earlier run with its trials. `obstacle` says why a rerun is impossible, or is None.

    `identical`: artifact, runtime and program are the same tonight. `content` hashes all three, None if unknown.
    """

    run: str
    night: str
    trials: tuple[float, ...]
    identical: bool
    obstacle: str | None = None
    content: str | None = None

    def is_like(self, other: BaselineSide) -> bool:
        """Return True if both sides run the same bytes."""
        # Two unknown contents are not the same bytes.
        return self.run == other.run or (self.content is not None and self.content == other.content)


@dataclass(frozen=True, slots=True)
class Subject:
    """Hold the knowledge of a cell's metric before tonight.

    `history` has the nights of the present segment, the last night last, NaN for a night without a value. `variances`
    are variances of a trial, `freedoms` their degrees of freedom. `worse` is +1 where a larger value is worse, else -1.
    `environment` names the changes of the device since the baseline, None for no change. `quarantine` says why the
    series is too noisy to judge, and `quarantined_since` since which day.
    """

    key: Key
    worse: int
    min_effect: float
    history: tuple[float, ...] = ()
    variances: tuple[float, ...] = ()
    freedoms: tuple[float, ...] = ()
    threshold: float | None = None
    baseline: BaselineSide | None = None
    environment: str | None = None
    opened: OpenRegression | None = None
    quarantine: str | None = None
    quarantined_since: str | None = None


@dataclass(frozen=True, slots=True)
class Tonight:
    """Hold the trials of the stages so far. A stage to come is None, or missing.

    `first` and `second` have the candidate's trials of each key. Each of `looks` has the trials of baseline and
    candidate. `drift` is the canaries' drift, by device and metric.
    """

    first: Mapping[Key, tuple[float, ...]]
    drift: Mapping[tuple[str, str], float] = field(default_factory=dict)
    second: Mapping[Key, tuple[float, ...]] | None = None
    looks: tuple[Mapping[Key, tuple[tuple[float, ...], tuple[float, ...]]], ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """Hold the terms of a night: shares of extra device time, and trials a side at most."""

    extra: float = EXTRA
    extra_most: float = EXTRA_MOST
    trials_most: int = 30


@dataclass(frozen=True, slots=True)
class Order:
    """Ask for a measurement. `look` counts the looks of the confirmation from 0. `trials` is per cell and side.

    `metrics` names for each cell of a confirmation the metric whose baseline is measured beside the cell.
    """

    stage: NightStage
    cells: frozenset[CellKey]
    trials: int
    look: int = 0
    metrics: Mapping[CellKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold the conclusion on one key.

    `value` is tonight's value without the canaries' drift. `expected` is the history's expectation. `spent` is the
    extra device time in plain nights of the cell. `suspected`: the first look spoke against the cell. `undecided`: the
    night ended before the cell could be judged. `change` is candidate over baseline, as a logarithm, of a regression.
    `reopens`: the cell is worse than the acknowledged level.
    """

    verdict: NightVerdict
    reason: str
    value: float | None = None
    variance: float | None = None
    unruly: bool = False
    expected: float | None = None
    estimate: NightEstimate | None = None
    baseline_trials: int = 0
    candidate_trials: int = 0
    set_aside: tuple[str, ...] = ()
    detectable: float | None = None
    threshold: float | None = None
    spent: float = 0.0
    new_segment: bool = False
    suspected: bool = False
    undecided: bool = False
    change: float | None = None
    reopens: bool = False
