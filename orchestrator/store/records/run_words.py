"""Read and write the words of people about runs: names, notes, tags and exclusions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run_words import Commit, Exclusion, NewWords, RunWords
from orchestrator.store.records.exclusion import LOCK_RUN, exclude_run, of_run
from orchestrator.store.records.latest_values import point_to
from orchestrator.store.records.levels import REASON_MAX
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text

if TYPE_CHECKING:
    from orchestrator.domain.run_words import Deletion


class RunWordTable:
    """Play the role `RunWordRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write_note(self, run: str, note: str, who: str) -> None:
        """Record the note of a run, in the place of an earlier note."""
        with self._database.write() as connection:
            connection.execute(of_run(run).values(note_columns(connection, note, who)))

    def change_tags(self, run: str, tags: Mapping[str, str], remove: Collection[str], who: str) -> None:
        """Set and remove tags of a run, all in a single transaction."""
        with self._database.write() as connection:
            # The row of the run first: two people then never wait for each other.
            connection.execute(LOCK_RUN, {"run": run})
            known = tags_of(connection, [run]).get(run, {})
            absent = sorted(set(remove) - set(known))
            if absent:
                raise ConfigError(
                    f"run {run} has no tag {', '.join(absent)}",
                    f"its tags: {', '.join(known)}" if known else "it has none",
                )
            gone = t.run_tag.c.key.in_([*remove, *tags])
            connection.execute(delete(t.run_tag).where(t.run_tag.c.run_id == run, gone))
            insert_tags(connection, run, tags, who)

    def exclude(self, run: str, reason: str, who: str) -> None:
        """Take a run out of every view, history and comparison by date."""
        with self._database.write() as connection:
            exclude_run(connection, run, reason, who)

    def include(self, run: str) -> None:
        """End the exclusion of a run."""
        with self._database.write() as connection:
            row = connection.execute(LOCK_RUN, {"run": run}).one()
            if row.excluded_at is None:
                raise ConfigError(f"run {run} is not excluded", f"benchfleet runs show {run}")
            if connection.execute(select(t.deleted_run.c.run_id).where(t.deleted_run.c.run_id == run)).first():
                raise ConfigError(f"run {run} is half deleted", f"benchfleet runs delete {run} --yes goes on")
            connection.execute(of_run(run).values(excluded_at=None, excluded_by=None, excluded_reason=None))
            point_to(connection, run)

    def excluded_runs(self) -> frozenset[str]:
        """Return the ids of all excluded runs."""
        with self._database.read() as connection:
            found = connection.execute(select(t.run.c.id).where(t.run.c.excluded_at.is_not(None)))
            return frozenset(found.scalars())

    def delete(self, run: str, who: str) -> Deletion:
        """Delete a run with all measurements, in transactions of bounded size."""
        from orchestrator.store.records.run_deletion import delete_run

        return delete_run(self._database, run, who)


def first_columns(connection: Connection, words: NewWords) -> dict[str, Any]:
    """Return the values of a new run's columns."""
    noted = {} if words.note is None else note_columns(connection, words.note, words.who)
    commit = words.commit
    return {
        "started_by": words.who or None,
        "name": words.name,
        "git_commit": commit and commit.sha,
        "git_dirty": commit and commit.dirty,
        **noted,
    }


def note_columns(connection: Connection, note: str, who: str) -> dict[str, Any]:
    """Return the values of the columns of a note."""
    return {"note": clean_text(note, REASON_MAX), "noted_by": who, "noted_at": database_time(connection)}


def insert_tags(connection: Connection, run: str, tags: Mapping[str, str], who: str) -> None:
    """Record tags that the run does not have yet."""
    if tags:
        now = database_time(connection)
        rows = [
            {"run_id": run, "key": key, "value": value, "set_by": who, "set_at": now} for key, value in tags.items()
        ]
        connection.execute(insert(t.run_tag), rows)


def tags_of(connection: Connection, runs: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the tags of runs, in the order of keys. Runs without a tag are left out."""
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(_TAGS, {"runs": list(runs)}):
        found.setdefault(row.run_id, {})[row.key] = row.value
    return found


def words_in(row: Row[Any], tags: Mapping[str, str]) -> RunWords:
    """Return the words in a row of the table `run`."""
    excluded = row.excluded_at is not None
    return RunWords(
        name=row.name,
        note=row.note,
        noted_by=row.noted_by,
        noted_at=row.noted_at,
        tags=tags,
        commit=None if row.git_commit is None else Commit(row.git_commit, bool(row.git_dirty)),
        exclusion=Exclusion(row.excluded_reason, row.excluded_by, row.excluded_at) if excluded else None,
        started_by=row.started_by,
    )


_TAGS = (
    select(t.run_tag)
    .where(t.run_tag.c.run_id.in_(bindparam("runs", expanding=True)))
    .order_by(t.run_tag.c.run_id, t.run_tag.c.key)
)
