"""Hold a series over time: a value for each run, and the changes around the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.annotation import Annotation
from orchestrator.domain.baseline import BaselineKind
from orchestrator.domain.build import Build
from orchestrator.domain.metric import Unit
from orchestrator.domain.regression import Regression
from orchestrator.domain.run import TrialState
from orchestrator.domain.series import Series


@dataclass(frozen=True, slots=True)
class Window:
    """Bound a history: runs begun in [`since`, `until`), None for an open end, and at most `limit` of them.

    The newest runs stay where there are more than `limit`. `run` narrows the history to a single run.
    """

    since: datetime | None = None
    until: datetime | None = None
    limit: int = 365
    run: str | None = None


@dataclass(frozen=True, slots=True)
class RunOfSeries:
    """Hold the record of a series in a run.

    `trial_values` has a value for each counted trial, in the metric's unit. `states` counts the measure trials by
    state. `snapshot` is the id of the facts that the plan was made by, None for a device without facts. `hashes` are
    those of hardware and environment in that snapshot. `builds` are the bytes behind the values, each once. `night` and
    `stage` are None for a run of no night. `sources` are the power sources of the values, each once.
    """

    run: str
    started_at: datetime
    trial_values: tuple[float, ...]
    states: Mapping[TrialState, int]
    snapshot: int | None
    hashes: tuple[str, str] | None
    builds: tuple[Build, ...] = ()
    night: str | None = None
    stage: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """Hold a run of a series. `value`, `low` and `high` are in the metric's unit.

    `value` is the geometric mean of the trials, without the far trials `set_aside`. `low` and `high` are the 95 %
    interval of the mean, None with fewer than two trials. `reason` says why there is no value.
    """

    run: str
    started_at: datetime
    value: float | None
    low: float | None
    high: float | None
    trials: int
    set_aside: int = 0
    reason: str | None = None
    night: str | None = None
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryBaseline:
    """Hold the level to compare a series with. `value` is None where the level's run has no value of the metric."""

    name: str
    run: str
    kind: BaselineKind
    value: float | None


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Hold a step of a history to another level, which begins with `run`.

    `ratio` is the level since over the level before, as medians of runs. `errors` is the size of the step in standard
    errors.
    """

    run: str
    at: datetime
    ratio: float
    errors: float


class ChangeKind(StrEnum):
    """Name the kinds of changes between two runs of a series."""

    ENVIRONMENT = "environment"
    ARTIFACT = "artifact"
    RUNTIME = "runtime"
    WORKER = "worker"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Change:
    """Hold a change around the values, seen first in `run`. `text` has the old and the new."""

    run: str
    at: datetime
    kind: ChangeKind
    text: str


@dataclass(frozen=True, slots=True)
class SeriesHistory:
    """Hold a series over time, the oldest run first.

    `left_out` counts the earlier runs of the window beyond its limit. `steps_reason` says why no step was sought.
    """

    series: Series
    metric: str
    unit: Unit
    points: tuple[HistoryPoint, ...]
    baseline: HistoryBaseline | None = None
    steps: tuple[ChangePoint, ...] = ()
    steps_reason: str | None = None
    changes: tuple[Change, ...] = ()
    regressions: tuple[Regression, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    left_out: int = 0
