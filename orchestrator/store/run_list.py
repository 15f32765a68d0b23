"""The list of runs by plain SQL: a command that people type all day must not wait for SQLAlchemy to be imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run import DeviceRunState, RunSummary, run_state
from orchestrator.store.readonly import open_console, sqlite_file
from orchestrator.store.schema_revision import HEAD

if TYPE_CHECKING:
    from orchestrator.store.base import SqlConsole

_DEVICES_OF_RUNS = """\
SELECT run.id, sweep.name, model.name, run.started_at, run.finished_at, run_device.state,
       count(trial.id),
       count(trial.id) FILTER (WHERE trial.state = 'measured'),
       count(trial.id) FILTER (WHERE trial.state NOT IN ('measured', 'skipped'))
FROM (SELECT id, sweep_id, model_id, started_at, finished_at
      FROM run ORDER BY started_at DESC, id DESC LIMIT {limit:d}) AS run
JOIN sweep ON sweep.id = run.sweep_id
JOIN model ON model.id = run.model_id
LEFT JOIN run_device ON run_device.run_id = run.id
LEFT JOIN trial ON trial.run_device_id = run_device.id AND trial.kind = 'measure'
GROUP BY run.id, sweep.name, model.name, run.started_at, run.finished_at, run_device.id, run_device.state
ORDER BY run.started_at DESC, run.id DESC"""


def list_runs(url: str, limit: int) -> Sequence[RunSummary]:
    """Return the newest runs first; none where the database is a file that nothing has made yet."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return []
    with closing(open_console(url)) as console:
        if _is_current(console):
            return list(_summaries(console, limit))
    from orchestrator.store.store import open_store

    open_store(url).close()  # brings it up to date, or says how to
    with closing(open_console(url)) as console:
        return list(_summaries(console, limit))


def _is_current(console: SqlConsole) -> bool:
    try:
        _, rows = console.query("SELECT version_num FROM alembic_version")
        return [row[0] for row in rows] == [HEAD]
    except ConfigError:
        return False  # no such table


def _summaries(console: SqlConsole, limit: int) -> Iterator[RunSummary]:
    _, rows = console.query(_DEVICES_OF_RUNS.format(limit=limit))
    for (run, sweep, model, started_at, finished_at), devices in groupby(rows, lambda row: tuple(row[:5])):
        states, trials, measured, missing = zip(*(row[5:] for row in devices), strict=True)
        known = [DeviceRunState(state) for state in states if state is not None]
        yield RunSummary(
            run=run,
            sweep=sweep,
            model=model,
            state=run_state(known, trials_missing=any(missing)),
            devices=len(known),
            devices_complete=known.count(DeviceRunState.COMPLETE),
            trials=sum(trials),
            trials_measured=sum(measured),
            started_at=_moment(started_at),
            finished_at=None if finished_at is None else _moment(finished_at),
        )


def _moment(value: Any) -> datetime:
    """Return a time as PostgreSQL gives it, or as SQLite keeps it: text."""
    moment: datetime = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.astimezone(UTC)
