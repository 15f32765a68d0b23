"""Tell the time by the database's clock, which every controller of the database shares."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select


def database_time(connection: Connection) -> datetime:
    """Return the time of this moment, not of the transaction's beginning; an SQLite file has this machine's clock."""
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)
