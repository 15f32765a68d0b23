"""Keep the lives of regressions: confirmed, dismissed and found fixed by nights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.domain.metric import Direction as Better
from orchestrator.domain.metric import metric_named
from orchestrator.domain.night import REGRESSED, NightCell, NightVerdict
from orchestrator.domain.regression import (
    Actor,
    Direction,
    Figures,
    Move,
    Regression,
    RegressionState,
    Suspicion,
)
from orchestrator.store.base import Regressions


@dataclass(frozen=True, slots=True)
class RegressionKeeper:
    """Record the findings of a night. Every call may be repeated, by a night interrupted here."""

    role: Regressions
    nightly: str
    night: str
    who: str

    def keep(self, cell: NightCell, series: int | None, *, reopens: bool = False) -> NightCell:
        """Return a cell with its regression. A cell without a series has no regression: no run ever planned the cell.

        `reopens`: the cell is worse than the acknowledged level, and a person has to look again.
        """
        if cell.verdict is NightVerdict.FIXED:
            return self._fixed(cell)
        if cell.verdict in REGRESSED:
            return self._confirmed(cell, series, reopens=reopens)
        if series is None or cell.verdict is NightVerdict.INCONCLUSIVE:
            return cell
        if cell.verdict is NightVerdict.SUSPECTED and cell.estimate is not None and _is_worse(cell):
            return replace(cell, regression=self._suspected(cell, series).id, since=self.night)
        if cell.verdict is NightVerdict.CLEAN:
            self._dismiss(cell, series)
        return cell

    def _fixed(self, cell: NightCell) -> NightCell:
        if cell.regression is not None:
            self._move(cell.regression, RegressionState.FIXED, cell)
        return cell

    def _confirmed(self, cell: NightCell, series: int | None, *, reopens: bool) -> NightCell:
        if cell.regression is not None:
            if reopens:
                self._move(cell.regression, RegressionState.CONFIRMED, cell)
            return cell
        if series is None:
            return cell
        found = self._suspected(cell, series)
        if found.state is RegressionState.DETECTED:
            found = self._move(found.id, RegressionState.CONFIRMED, cell)
        known = found.state is RegressionState.ACKNOWLEDGED
        return replace(cell, regression=found.id, since=found.confirmed_night or self.night, known=known)

    def _suspected(self, cell: NightCell, series: int) -> Regression:
        baseline = cell.baseline_runs[0] if cell.baseline_runs else None
        suspicion = Suspicion(
            self.nightly, self.night, series, cell.metric, _direction(cell), cell.cell.run, baseline, _figures(cell)
        )
        return self.role.suspect(suspicion, self.who, cell.reason)

    def _dismiss(self, cell: NightCell, series: int) -> None:
        # Left open by an earlier night, which ended before a rerun could decide.
        for one in self.role.regressions(self.nightly, {RegressionState.DETECTED}):
            if (one.series.id, one.metric) == (series, cell.metric):
                self._move(one.id, RegressionState.DISMISSED, cell)

    def _move(self, regression: int, to: RegressionState, cell: NightCell) -> Regression:
        baseline = cell.baseline_runs[0] if cell.baseline_runs else None
        # Other moves bring no figures: the record keeps the confirmation's.
        is_confirmed = to is RegressionState.CONFIRMED
        move = Move(
            to,
            Actor.NIGHT,
            self.who,
            cell.reason,
            self.night,
            _figures(cell) if is_confirmed else None,
            baseline if is_confirmed else None,
            cell.cell.run if is_confirmed else None,
        )
        return self.role.move(regression, move)


def _is_worse(cell: NightCell) -> bool:
    return _direction(cell) is _worse_of(cell.metric)


def _direction(cell: NightCell) -> Direction:
    """Return the direction of the value. A lost value went to the worse."""
    if cell.estimate is None or cell.estimate.ratio == 1:
        return _worse_of(cell.metric)
    return Direction.ROSE if cell.estimate.ratio > 1 else Direction.FELL


def _worse_of(metric: str) -> Direction:
    return Direction.FELL if metric_named(metric).direction is Better.HIGHER else Direction.ROSE


def _figures(cell: NightCell) -> Figures | None:
    if cell.estimate is None:
        return None
    return Figures(
        cell.estimate.ratio, cell.estimate.low, cell.estimate.high, cell.baseline_trials, cell.candidate_trials
    )
