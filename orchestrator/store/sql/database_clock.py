"""Tell the time by the database's clock, shared by all controllers of the database.

A database opened with a separate clock is told the time instead, for history written down later.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

CLOCK = "benchfleet_clock"
"""The execution option of an engine whose database is told the time."""

Clock = Callable[[], datetime]


def database_time(connection: Connection) -> datetime:
    """Return the present time of the database's clock. An SQLite file has the machine's own clock."""
    if connection.dialect.name == "postgresql" and _told(connection) is None:
        # `now()` is the beginning of the transaction, which may have waited for a lock since.
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    return controller_time(connection)


def controller_time(connection: Connection) -> datetime:
    """Return the present time of the controller's clock."""
    told = _told(connection)
    return datetime.now(UTC) if told is None else told()


def _told(connection: Connection) -> Clock | None:
    clock: Clock | None = connection.get_execution_options().get(CLOCK)
    return clock
