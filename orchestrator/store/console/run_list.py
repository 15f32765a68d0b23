"""List runs by plain SQL, because a command typed all day must not wait for the import of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from orchestrator.domain.allowed_failures import is_lacking
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run import DeviceRunState, RunSummary, TrialState, run_state
from orchestrator.store.console.readonly import open_console, sqlite_file
from orchestrator.store.schema.revision import HEAD
from orchestrator.store.values.sweep_text import allowed_in

if TYPE_CHECKING:
    from orchestrator.store.base import SqlConsole

# A row for each device of the newest runs. The rows of a run follow each other. Trials are counted by device before the
# wide rows are joined: grouping these by all columns took most of the time of a long list. Sweep and model are joined
# where the runs are picked: behind the limit PostgreSQL took 2,000 runs for one, and searched all counts for each run.
DEVICES_OF_RUNS = """\
WITH newest AS (
    SELECT run.id, sweep.name AS sweep, model.name AS model, run.started_at, run.finished_at
    FROM run
    JOIN sweep ON sweep.id = run.sweep_id
    JOIN model ON model.id = run.model_id
    ORDER BY run.started_at DESC, run.id DESC
    LIMIT {limit:d}
),
counts AS (
    SELECT run_device_id,
           count(*) AS trials,
           count(*) FILTER (WHERE state = 'measured') AS measured,
           count(*) FILTER (WHERE state NOT IN ('measured', 'skipped', 'failed')) AS open,
           count(*) FILTER (WHERE state IN ('skipped', 'failed')) AS failed
    FROM trial
    WHERE kind = 'measure'
      AND run_device_id IN (SELECT run_device.id FROM newest JOIN run_device ON run_device.run_id = newest.id)
    GROUP BY run_device_id
)
SELECT newest.id, newest.sweep, newest.model, newest.started_at, newest.finished_at, run_device.state,
       coalesce(counts.trials, 0), coalesce(counts.measured, 0), coalesce(counts.open, 0), coalesce(counts.failed, 0)
FROM newest
LEFT JOIN run_device ON run_device.run_id = newest.id
LEFT JOIN counts ON counts.run_device_id = run_device.id
ORDER BY newest.started_at DESC, newest.id DESC"""


# The cells of a run with failed trials, for runs that may allow the failures of cells.
_FAILED_CELLS = """\
SELECT DISTINCT sweep.document, device.name, job.label, trial.state
FROM run
JOIN sweep ON sweep.id = run.sweep_id
JOIN run_device ON run_device.run_id = run.id
JOIN device ON device.id = run_device.device_id
JOIN trial ON trial.run_device_id = run_device.id
JOIN job ON job.id = trial.job_id
WHERE run.id = '{run}' AND trial.kind = 'measure' AND trial.state IN ('skipped', 'failed')
  AND sweep.document LIKE '%allow_failures%'"""


def list_runs(url: str, limit: int) -> Sequence[RunSummary]:
    """Return at most `limit` runs, newest first. Return none for a database file not created yet.

    Raise StoreError if the database cannot be read or upgraded.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return []
    with closing(open_console(url, own=True)) as console:
        # At another revision the statement above might fail, or mean something else.
        if _is_current(console):
            return list(_summaries(console, limit))
    from orchestrator.store.store import open_store

    open_store(url).close()  # upgrades an SQLite file, or raises an error with the way to upgrade
    with closing(open_console(url, own=True)) as console:
        return list(_summaries(console, limit))


def _is_current(console: SqlConsole) -> bool:
    try:
        _, rows = console.query("SELECT version_num FROM alembic_version")
        return [row[0] for row in rows] == [HEAD]
    except ConfigError:
        return False  # no such table


def _summaries(console: SqlConsole, limit: int) -> Iterator[RunSummary]:
    _, rows = console.query(DEVICES_OF_RUNS.format(limit=limit))
    # All rows first, since another question may be asked for each run.
    for (run, sweep, model, started_at, finished_at), devices in groupby(list(rows), lambda row: tuple(row[:5])):
        states, trials, measured, left, failed = zip(*(row[5:] for row in devices), strict=True)
        known = [DeviceRunState(state) for state in states if state is not None]
        yield RunSummary(
            run=run,
            sweep=sweep,
            model=model,
            state=run_state(known, trials_missing=not any(trials) or any(left) or _lacks(console, run, failed)),
            devices=len(known),
            devices_complete=known.count(DeviceRunState.COMPLETE),
            trials=sum(trials),
            trials_measured=sum(measured),
            started_at=_moment(started_at),
            finished_at=None if finished_at is None else _moment(finished_at),
        )


def _lacks(console: SqlConsole, run: str, failed: Sequence[int]) -> bool:
    """Say whether a run's sweep does not allow a trial to fail."""
    if not any(failed):
        return False
    # A run's id is made by this program, and a quote in it would end the text.
    _, rows = console.query(_FAILED_CELLS.format(run=run.replace("'", "''")))
    cells = list(rows)
    allowed = allowed_in(cells[0][0]) if cells else ()
    return not allowed or any(
        is_lacking(allowed, device, label, TrialState(state)) for _, device, label, state in cells
    )


def _moment(value: Any) -> datetime:
    """Return a moment from PostgreSQL's datetime or from SQLite's text."""
    moment: datetime = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.astimezone(UTC)
