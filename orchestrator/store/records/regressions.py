"""Read and write regressions, with the steps of each life."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, true, update

from orchestrator.domain.baseline import BaselineKind, NewBaseline
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.regression import (
    OPEN,
    STANDING,
    Actor,
    Direction,
    Figures,
    Move,
    Regression,
    RegressionEvent,
    RegressionState,
    Suspicion,
    moved,
)
from orchestrator.store.records.levels import REASON_MAX, insert_levels
from orchestrator.store.records.named_series import NAMED_SERIES, series_in, with_series
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text


class RegressionTable:
    """Play the role `Regressions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def suspect(self, suspicion: Suspicion, who: str, reason: str | None = None) -> Regression:
        """Record a suspicion as `detected`, and return the open regression of the series, new or not."""
        with self._database.write() as connection:
            # Two controllers that suspect one series at once take turns here.
            connection.execute(select(t.series.c.id).where(t.series.c.id == suspicion.series).with_for_update())
            found = _read(connection, _open_like(suspicion))
            if not found:
                connection.execute(insert(t.regression), _row(suspicion))
                found = _read(connection, _open_like(suspicion))
                move = Move(RegressionState.DETECTED, Actor.NIGHT, who, reason, suspicion.night)
                _record(connection, found[0].id, move, database_time(connection))
            return found[0]

    def move(self, regression: int, move: Move) -> Regression:
        """Take a regression to another state. The same state again is no change."""
        with self._database.write() as connection:
            before = _locked(connection, regression)
            after = _move(connection, before, move)
            if after is not before and move.to is RegressionState.ACCEPTED:
                level = NewBaseline(
                    after.nightly,
                    after.candidate_run,
                    BaselineKind.ACCEPTED,
                    move.who,
                    move.reason or "",
                    (after.series.id,),
                    after.metric,
                )
                insert_levels(connection, level, database_time(connection))
            return after

    def find_regression(self, regression: int) -> Regression | None:
        """Return a regression by id, or None."""
        with self._database.read() as connection:
            found = _read(connection, t.regression.c.id == regression)
        return found[0] if found else None

    def regressions(
        self,
        nightly: str | None = None,
        states: Collection[RegressionState] | None = None,
        series: int | None = None,
    ) -> Sequence[Regression]:
        """Return the regressions of a nightly and a series in these states, the newest first. None stands for all."""
        wanted = and_(
            true() if nightly is None else t.regression.c.nightly == nightly,
            true() if series is None else t.regression.c.series_id == series,
            true() if states is None else t.regression.c.state.in_([state.value for state in states]),
        )
        with self._database.read() as connection:
            # Read in the order of ids, which is the order of locks too.
            return _read(connection, wanted)[::-1]

    def events(self, regression: int) -> Sequence[RegressionEvent]:
        """Return the steps of a regression's life, in order."""
        statement = (
            select(t.regression_event)
            .where(t.regression_event.c.regression_id == regression)
            .order_by(t.regression_event.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        return [RegressionEvent(row.at, RegressionState(row.state), row.who, row.reason, row.night_id) for row in rows]


def accept_covered(connection: Connection, level: NewBaseline) -> None:
    """Accept the standing regressions under an accepted level: the nightly's, in series of the level's run."""
    of_run = (
        select(t.job.c.series_id)
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .where(t.run_device.c.run_id == level.run)
    )
    covered = and_(
        t.regression.c.nightly == level.name,
        t.regression.c.state.in_([state.value for state in STANDING]),
        t.regression.c.series_id.in_(level.series or of_run),
        t.regression.c.metric == level.metric if level.metric is not None else true(),
    )
    # In the order of ids, like all writers of several regressions: two of them never wait for each other.
    for found in _read(connection, covered):
        before = _locked(connection, found.id)
        if before.state in STANDING:
            _move(connection, before, Move(RegressionState.ACCEPTED, Actor.PERSON, level.who, level.reason))


def _move(connection: Connection, before: Regression, move: Move) -> Regression:
    after = moved(before, move)
    if after is before:
        return before
    values = {
        "state": after.state.value,
        "baseline_run_id": after.baseline_run,
        "candidate_run_id": after.candidate_run,
        "confirmed_night_id": after.confirmed_night,
        **_figures(after.figures),
    }
    connection.execute(update(t.regression).where(t.regression.c.id == after.id).values(values))
    _record(connection, after.id, move, database_time(connection))
    return after


def _record(connection: Connection, regression: int, move: Move, at: datetime) -> None:
    row = {
        "regression_id": regression,
        "at": at,
        "state": move.to.value,
        "who": move.who,
        "reason": None if move.reason is None else clean_text(move.reason, REASON_MAX),
        "night_id": move.night,
    }
    connection.execute(insert(t.regression_event), row)


def _open_like(suspicion: Suspicion) -> ColumnElement[bool]:
    return and_(
        t.regression.c.nightly == suspicion.nightly,
        t.regression.c.series_id == suspicion.series,
        t.regression.c.metric == suspicion.metric,
        t.regression.c.direction == suspicion.direction.value,
        t.regression.c.state.in_([state.value for state in OPEN]),
    )


def _row(suspicion: Suspicion) -> dict[str, Any]:
    return {
        "nightly": suspicion.nightly,
        "series_id": suspicion.series,
        "metric": suspicion.metric,
        "direction": suspicion.direction.value,
        "state": RegressionState.DETECTED.value,
        "baseline_run_id": suspicion.baseline_run,
        "candidate_run_id": suspicion.candidate_run,
        "first_night_id": suspicion.night,
        **_figures(suspicion.figures),
    }


def _figures(figures: Figures | None) -> dict[str, Any]:
    return {
        "ratio": figures and figures.ratio,
        "ratio_low": figures and figures.low,
        "ratio_high": figures and figures.high,
        "baseline_trials": figures and figures.baseline_trials,
        "candidate_trials": figures and figures.candidate_trials,
    }


def _locked(connection: Connection, regression: int) -> Regression:
    """Return a regression, locked against other writers. Raise ConfigError for an unknown id."""
    # SQLite has no row locks and ignores this: there a writing transaction has the whole file.
    connection.execute(select(t.regression.c.id).where(t.regression.c.id == regression).with_for_update())
    found = _read(connection, t.regression.c.id == regression)
    if not found:
        raise ConfigError(f"there is no regression {regression}", "benchfleet regressions list shows what there is")
    return found[0]


def _read(connection: Connection, condition: ColumnElement[bool]) -> list[Regression]:
    statement = (
        select(t.regression, *NAMED_SERIES)
        .select_from(with_series(t.regression))
        .where(condition)
        .order_by(t.regression.c.id)
    )
    return [_regression(row) for row in connection.execute(statement)]


def _regression(row: Any) -> Regression:
    series = series_in(row)
    assert series is not None
    figures = None
    if row.ratio is not None:
        figures = Figures(row.ratio, row.ratio_low, row.ratio_high, row.baseline_trials, row.candidate_trials)
    return Regression(
        id=row.id,
        nightly=row.nightly,
        series=series,
        metric=row.metric,
        direction=Direction(row.direction),
        state=RegressionState(row.state),
        candidate_run=row.candidate_run_id,
        first_night=row.first_night_id,
        baseline_run=row.baseline_run_id,
        figures=figures,
        confirmed_night=row.confirmed_night_id,
    )
