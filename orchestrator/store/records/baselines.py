"""Read and write baselines: the levels chosen by people to compare with."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_

from orchestrator.domain.baseline import Baseline, BaselineKind, NewBaseline
from orchestrator.store.records.levels import insert_levels, read_levels
from orchestrator.store.records.regressions import accept_covered
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database


class BaselineTable:
    """Play the role `Baselines`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, new: NewBaseline) -> Sequence[Baseline]:
        """Record a choice, and supersede the levels covered wholly by the choice."""
        with self._database.write() as connection:
            # Regressions before levels, as where a regression is accepted: two writers never wait for each other.
            if new.kind is BaselineKind.ACCEPTED:
                accept_covered(connection, new)
            return insert_levels(connection, new, database_time(connection))

    def levels(self, name: str) -> Sequence[Baseline]:
        """Return every level of a name, superseded levels included, the oldest first."""
        with self._database.read() as connection:
            return read_levels(connection, and_(t.baseline.c.name == name, _COUNTS))

    def present_levels(self) -> Sequence[Baseline]:
        """Return the present levels of all names, the oldest first."""
        with self._database.read() as connection:
            return read_levels(connection, and_(t.baseline.c.superseded_at.is_(None), _COUNTS))


# The level of an excluded run is no level, until the run is included again.
_COUNTS = t.run.c.excluded_at.is_(None)
