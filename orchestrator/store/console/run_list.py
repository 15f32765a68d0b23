"""List runs by plain SQL, because a command typed all day must not wait for the import of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from orchestrator.domain.allowed_failures import is_lacking
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run import DeviceRunState, RunSummary, TrialCounts, TrialState, run_state
from orchestrator.domain.run_filter import RunFilter
from orchestrator.domain.run_words import Commit, Exclusion, RunWords
from orchestrator.store.console.readonly import open_console, sqlite_file
from orchestrator.store.console.run_conditions import conditions_of, in_order_after, utc_text
from orchestrator.store.schema.revision import HEAD
from orchestrator.store.sql.sqlite_access import is_there
from orchestrator.store.values.sweep_text import allowed_in

if TYPE_CHECKING:
    from orchestrator.store.base import SqlConsole

# A row for each device of the newest runs. The rows of a run follow each other. Trials are counted by device before the
# wide rows are joined: grouping these by all columns took most of the time of a long list. The sweep is joined
# where the runs are picked: behind the limit PostgreSQL took 2,000 runs for one, and searched all counts for each run.
_NEWEST = """\
newest AS (
    SELECT run.id, sweep.name AS sweep, run.started_at, run.finished_at, run.name, run.note,
           run.noted_by, run.noted_at, run.git_commit, run.git_dirty, run.excluded_reason, run.excluded_by,
           run.excluded_at, run.started_by
    FROM run
    JOIN sweep ON sweep.id = run.sweep_id
    WHERE {conditions}
    ORDER BY run.started_at DESC, run.id DESC
    LIMIT {limit:d}
)"""
_RUN_COLUMNS = 14
DEVICES_OF_RUNS = (
    "WITH "  # noqa: S608 - constants of ours
    + _NEWEST
    + """,
counts AS (
    SELECT run_device_id,
           count(*) FILTER (WHERE state = 'measured') AS measured,
           count(*) FILTER (WHERE state = 'invalid') AS invalid,
           count(*) FILTER (WHERE state IN ('skipped', 'failed')) AS failed,
           count(*) FILTER (WHERE state IN ('planned', 'running')) AS missing
    FROM trial
    WHERE kind = 'measure'
      AND run_device_id IN (SELECT run_device.id FROM newest JOIN run_device ON run_device.run_id = newest.id)
    GROUP BY run_device_id
)
SELECT newest.*, run_device.state, device.name,
       coalesce(counts.measured, 0), coalesce(counts.invalid, 0), coalesce(counts.failed, 0),
       coalesce(counts.missing, 0)
FROM newest
LEFT JOIN run_device ON run_device.run_id = newest.id
LEFT JOIN device ON device.id = run_device.device_id
LEFT JOIN counts ON counts.run_device_id = run_device.id
ORDER BY newest.started_at DESC, newest.id DESC"""
)
_TAGS_OF_RUNS = (
    "WITH "
    + _NEWEST
    + """
SELECT run_tag.run_id, run_tag.key, run_tag.value
FROM newest
JOIN run_tag ON run_tag.run_id = newest.id
ORDER BY run_tag.run_id, run_tag.key"""
)
_MODELS_OF_RUNS = (
    "WITH "
    + _NEWEST
    + """
SELECT run_model.run_id, model.name
FROM newest
JOIN run_model ON run_model.run_id = newest.id
JOIN model ON model.id = run_model.model_id
ORDER BY run_model.run_id, run_model.position"""
)
# The cells of a run with failed trials, for runs that may allow the failures of cells.
_FAILED_CELLS = """\
SELECT DISTINCT sweep.document, device.name, job.label, trial.state
FROM run
JOIN sweep ON sweep.id = run.sweep_id
JOIN run_device ON run_device.run_id = run.id
JOIN device ON device.id = run_device.device_id
JOIN trial ON trial.run_device_id = run_device.id
JOIN job ON job.id = trial.job_id
WHERE run.id = $1 AND trial.kind = 'measure' AND trial.state IN ('skipped', 'failed')
  AND sweep.document LIKE '%allow_failures%'"""


def list_runs(url: str, limit: int, wanted: RunFilter | None = None) -> Sequence[RunSummary]:
    """Return at most `limit` wanted runs, newest first. Return none for a database file not created yet.

    Raise StoreError if the database cannot be read or upgraded.
    """
    file = sqlite_file(url)
    if file is not None and not is_there(file):
        return []
    wanted = wanted or RunFilter()
    with closing(open_console(url, own=True)) as console:
        # At another revision the statement above might fail, or mean something else.
        if is_current(console):
            return list(_listed(console, limit, wanted))
    from orchestrator.store.store import open_store

    open_store(url).close()  # upgrades an SQLite file, or raises an error with the way to upgrade
    with closing(open_console(url, own=True)) as console:
        return list(_listed(console, limit, wanted))


def is_current(console: SqlConsole) -> bool:
    """Say whether a database has the schema of this release."""
    try:
        _, rows = console.query("SELECT version_num FROM alembic_version")
        return [row[0] for row in rows] == [HEAD]
    except ConfigError:
        return False  # no such table


def _listed(console: SqlConsole, limit: int, wanted: RunFilter) -> Iterator[RunSummary]:
    """Yield the wanted runs. The statement alone decides, but for sweeps that allow failures."""
    last: RunSummary | None = None
    while limit > 0:
        found = _summaries(console, limit, wanted, last)
        # Which failures a sweep allows stands in its text, so that such a run can drop out of the answer here alone.
        matching = [one for one in found if wanted.state in (None, one.state)]
        yield from matching
        if len(found) < limit:
            return
        last, limit = found[-1], limit - len(matching)


def _summaries(console: SqlConsole, limit: int, wanted: RunFilter, last: RunSummary | None) -> list[RunSummary]:
    conditions, values = conditions_of(wanted)
    if last is not None:
        conditions.append(in_order_after(len(values)))
        values += [utc_text(last.started_at), last.run]
    asked = {"conditions": " AND ".join(conditions) or "1 = 1", "limit": limit}
    _, rows = console.query(DEVICES_OF_RUNS.format(**asked), values=values)
    # All rows first, since further questions are asked.
    found = [(run, list(of_run)) for run, of_run in groupby(list(rows), lambda row: tuple(row[:_RUN_COLUMNS]))]
    models: dict[str, list[str]] = {}
    for run, name in console.query(_MODELS_OF_RUNS.format(**asked), values=values)[1]:
        models.setdefault(run, []).append(name)
    tags: dict[str, dict[str, str]] = {}
    for run, key, value in console.query(_TAGS_OF_RUNS.format(**asked), values=values)[1]:
        tags.setdefault(run, {})[key] = value
    return [_summary(console, run, of_run, models.get(run[0], ()), tags.get(run[0], {})) for run, of_run in found]


def _summary(
    console: SqlConsole,
    run: Sequence[Any],
    rows: Sequence[Sequence[Any]],
    models: Sequence[str],
    tags: Mapping[str, str],
) -> RunSummary:
    name, sweep, started_at, finished_at, *words = run
    devices = [row[_RUN_COLUMNS:] for row in rows if row[_RUN_COLUMNS] is not None]
    counts = TrialCounts(*(sum(numbers) for numbers in zip(*(row[2:] for row in devices), strict=True)))
    known = [DeviceRunState(row[0]) for row in devices]
    lacks = not counts.planned or counts.missing or counts.invalid or (counts.failed and _lacks(console, name))
    return RunSummary(
        run=name,
        sweep=sweep,
        models=tuple(models),
        state=run_state(known, trials_missing=bool(lacks)),
        devices=len(known),
        devices_complete=known.count(DeviceRunState.COMPLETE),
        counts=counts,
        started_at=_moment(started_at),
        finished_at=_moment_or_none(finished_at),
        device_names=tuple(sorted(row[1] for row in devices)),
        words=_words(words, tags),
    )


def _words(columns: Sequence[Any], tags: Mapping[str, str]) -> RunWords:
    name, note, noted_by, noted_at, commit, dirty, reason, who, excluded_at, started_by = columns
    return RunWords(
        name=name,
        note=note,
        noted_by=noted_by,
        noted_at=_moment_or_none(noted_at),
        tags=tags,
        commit=None if commit is None else Commit(commit, bool(dirty)),
        exclusion=None if excluded_at is None else Exclusion(reason, who, _moment(excluded_at)),
        started_by=started_by,
    )


def _lacks(console: SqlConsole, run: str) -> bool:
    """Say whether a run's sweep does not allow a trial to fail."""
    _, rows = console.query(_FAILED_CELLS, values=[run])
    cells = list(rows)
    allowed = allowed_in(cells[0][0]) if cells else ()
    return not allowed or any(
        is_lacking(allowed, device, label, TrialState(state)) for _, device, label, state in cells
    )


def _moment(value: Any) -> datetime:
    """Return a moment from PostgreSQL's datetime or from SQLite's text."""
    moment: datetime = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.astimezone(UTC)


def _moment_or_none(value: Any) -> datetime | None:
    return None if value is None else _moment(value)
