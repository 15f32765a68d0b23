"""Read and write nights, with the runs of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, true, update

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.night import NightRun, NightStage
from orchestrator.domain.night_record import NightRecord
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import insert_missing

LAST = "last"
_AMBIGUOUS_SHOWN = 5


class NightTable:
    """Play the role `Nights`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_night(self, night: str, nightly: str) -> NightRecord:
        """Record the beginning of a night."""
        with self._database.write() as connection:
            if _read(connection, t.night.c.id == night, 1):
                raise StoreError(f"there is a night {night} already")
            row = {"id": night, "nightly": nightly, "began_at": database_time(connection)}
            connection.execute(insert(t.night), row)
            return _read(connection, t.night.c.id == night, 1)[0]

    def add_run(self, night: str, run: NightRun) -> None:
        """Record a run of a night, also before the run is on record. The same run again is no change."""
        with self._database.write() as connection:
            row = {"night_id": night, "run_id": run.run, "stage": run.stage.value, "sweep": run.sweep, "look": run.look}
            insert_missing(connection, t.night_run, [row])

    def end_night(self, night: str, exit_code: int, report: Mapping[str, Any]) -> NightRecord:
        """Record the end of a night with exit code and report."""
        with self._database.write() as connection:
            values = {"ended_at": database_time(connection), "exit_code": exit_code, "report": dict(report)}
            connection.execute(update(t.night).where(t.night.c.id == night).values(values))
            found = _read(connection, t.night.c.id == night, 1)
            if not found:
                raise StoreError(f"there is no night {night}")
            return found[0]

    def find_night(self, night: str) -> NightRecord | None:
        """Return a night by id, by unique beginning, or the newest night as "last". Return None if none matches."""
        if not night:
            return None
        with self._database.read() as connection:
            if night == LAST:
                found = _read(connection, true(), 1)
            else:
                # Not LIKE: there a % or _ in the given text would match anything.
                matching = func.substr(t.night.c.id, 1, len(night)) == night
                found = _read(connection, t.night.c.id == night, 1) or _read(connection, matching, _AMBIGUOUS_SHOWN)
        if len(found) > 1:
            names = ", ".join(one.id for one in found)
            raise ConfigError(f"several nights begin with {night!r}: {names}", "give more of its name")
        return found[0] if found else None

    def nights(
        self, nightly: str | None = None, limit: int | None = None, before: str | None = None
    ) -> Sequence[NightRecord]:
        """Return the nights of a nightly, or of all, the newest first. `before` names the night after the newest."""
        wanted = true() if nightly is None else t.night.c.nightly == nightly
        if before is not None:
            began = select(t.night.c.began_at).where(t.night.c.id == before).scalar_subquery()
            # By id too, as the order is: two nights may have begun within one tick of the clock.
            earlier = or_(t.night.c.began_at < began, and_(t.night.c.began_at == began, t.night.c.id < before))
            wanted = and_(wanted, earlier)
        with self._database.read() as connection:
            return _read(connection, wanted, limit)

    def device_time_s(self, run: str) -> float:
        """Return for how many seconds trials have run on the devices of a run."""
        statement = (
            select(func.sum(t.attempt.c.duration_ns))
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .where(t.run_device.c.run_id == run)
        )
        with self._database.read() as connection:
            return float(connection.execute(statement).scalar() or 0) / 1e9


def _read(connection: Connection, condition: ColumnElement[bool], limit: int | None) -> list[NightRecord]:
    newest = t.night.c.began_at.desc(), t.night.c.id.desc()
    rows = connection.execute(select(t.night).where(condition).order_by(*newest).limit(limit)).all()
    runs: dict[str, list[NightRun]] = {row.id: [] for row in rows}
    # Ids of runs sort by time.
    of_nights = select(t.night_run).where(t.night_run.c.night_id.in_(runs)).order_by(t.night_run.c.run_id)
    for row in connection.execute(of_nights):
        runs[row.night_id].append(NightRun(NightStage(row.stage), row.sweep, row.run_id, row.look))
    return [
        NightRecord(row.id, row.nightly, row.began_at, row.ended_at, row.exit_code, row.report, tuple(runs[row.id]))
        for row in rows
    ]
