"""Choose the level to compare a cell with: the run pinned by a person, or a level accepted since."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.series import Series

# A run's id begins with a digit, and so does a date.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
_RESERVED = frozenset({"last", "last-before", "last-good", "pinned", "rolling"})


class BaselineKind(StrEnum):
    """Say how a level was chosen. An accepted level begins a new segment of the history, a pinned level does not."""

    PINNED = "pinned"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class NewBaseline:
    """Hold a choice to record: the run's values are the level of `series`, or of every cell of the run if empty.

    `metric` None stands for every metric.
    """

    name: str
    run: str
    kind: BaselineKind
    who: str
    reason: str
    series: tuple[int, ...] = ()
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Hold a level on record. `series` None stands for every cell of the run, `metric` None for every metric.

    `measured` has the series of a whole run's cells. None: unknown, and every cell counts as a cell of the run.
    """

    id: int
    name: str
    run: str
    run_started_at: datetime
    kind: BaselineKind
    pinned_at: datetime
    pinned_by: str
    reason: str
    series: Series | None = None
    metric: str | None = None
    superseded_at: datetime | None = None
    measured: frozenset[int] | None = None

    def covers(self, series: int, metric: str) -> bool:
        """Return True if the level is for the series and the metric."""
        if self.metric not in (None, metric):
            return False
        if self.series is not None:
            return self.series.id == series
        # A run has no level for the cells of other devices.
        return self.measured is None or series in self.measured


def checked_name(name: str) -> str:
    """Return the name of a baseline. Raise ConfigError for a name like a run's id or a date."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigError(
            f"{name!r} cannot name a baseline",
            "a letter, then letters, digits, dots, dashes and underscores; none of " + ", ".join(sorted(_RESERVED)),
        )
    return name


def level_of(levels: Iterable[Baseline], series: int, metric: str) -> Baseline | None:
    """Return the present level of a series and a metric, or None. The newest choice for both wins."""
    present = [one for one in levels if one.superseded_at is None and one.covers(series, metric)]
    # By id, since ids only grow, and a clock may be set back.
    return max(present, key=lambda one: one.id, default=None)


def segment_began(levels: Iterable[Baseline], series: int, metric: str) -> datetime | None:
    """Return when the present segment of a history began: with the run accepted last. None: with the first night.

    Superseded levels count too, because another pinned run does not undo a change of the level.
    """
    accepted = [one for one in levels if one.kind is BaselineKind.ACCEPTED and one.covers(series, metric)]
    newest = max(accepted, key=lambda one: one.id, default=None)
    return None if newest is None else newest.run_started_at


def whole_run(levels: Sequence[Baseline]) -> Baseline | None:
    """Return the present level of all cells without a separate level, or None."""
    whole = [one for one in levels if one.superseded_at is None and one.series is None and one.metric is None]
    return max(whole, key=lambda one: one.id, default=None)
