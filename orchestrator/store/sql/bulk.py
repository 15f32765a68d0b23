"""Insert many rows at once, in the cheapest way for each database: COPY on PostgreSQL, plain tuples on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Float, Numeric, Select, Table, func, insert, select, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

Row = Mapping[str, Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows within the connection's transaction. Each row has the same columns, given by name."""
    if not rows:
        return
    columns = _columns(table, tuple(rows[0]))
    take = itemgetter(*columns)
    values = list(map(take, rows))
    converters = [
        (place, to) for place, name in enumerate(columns) if (to := _converter(connection.dialect, table, name))
    ]
    if converters:
        values = [_converted(row, converters) for row in values]
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, values)
    else:
        connection.exec_driver_sql(_insert_statement(connection.dialect, table, columns), values)


def insert_stream(connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]], at_once: int) -> None:
    """Insert rows of all columns, as values of a SELECT, within the connection's transaction and in bounded memory.

    On PostgreSQL the rows are one statement, within which rows may refer to later ones.
    """
    columns = tuple(column.name for column in table.columns)
    converters = [
        (place, to) for place, name in enumerate(columns) if (to := _converter(connection.dialect, table, name))
    ]
    converted = (_converted(row, converters) for row in rows)
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, converted)
        return
    insertion = _insert_statement(connection.dialect, table, columns)
    while part := list(islice(converted, at_once)):
        connection.exec_driver_sql(insertion, part)


def insert_with_ids(connection: Connection, table: Table, rows: Sequence[Row]) -> Sequence[int]:
    """Insert rows without ids within the connection's transaction, and return the new ids in the order of the rows."""
    if not rows:
        return ()
    ids = _new_ids(connection, table, len(rows))
    insert_rows(connection, table, [{"id": key, **row} for key, row in zip(ids, rows, strict=True)])
    return ids


def _new_ids(connection: Connection, table: Table, count: int) -> Sequence[int]:
    if connection.dialect.name == "postgresql":
        return connection.execute(_NEXT_IDS, {"name": table.name, "count": count}).scalars().all()
    # A writing transaction is alone on SQLite, and its ids are the highest of the table, as SQLite's own would be.
    last = connection.execute(_last_id(table)).scalar_one()
    return range(last + 1, last + 1 + count)


@lru_cache(maxsize=100)
def _last_id(table: Table) -> Select[int]:
    return select(func.coalesce(func.max(table.c.id), 0))


_NEXT_IDS = text("SELECT nextval(pg_get_serial_sequence(:name, 'id')) FROM generate_series(1, :count)")


def _copy(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    import psycopg
    from psycopg import sql

    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except (psycopg.Error, UnicodeError) as error:
        # As SQLAlchemy raises the errors of its own statements. The parameters stay hidden.
        raise DBAPIError(f"COPY {table.name}", None, error) from error


def _converted(row: Sequence[Any], converters: Sequence[tuple[int, Callable[[Any], Any]]]) -> tuple[Any, ...]:
    """Return a row in the driver's form. Most columns need no change, and are not looked at."""
    changed = list(row)
    for place, to in converters:
        value = changed[place]
        # None is NULL in every type of ours.
        if value is not None:
            changed[place] = to(value)
    return tuple(changed)


@lru_cache(maxsize=100)
def _columns(table: Table, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the named columns in the order of the table."""
    return tuple(column.name for column in table.columns if column.name in named)


@lru_cache(maxsize=100)
def _insert_statement(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> str:
    # SQLAlchemy names the columns in the order of the table, as the values are.
    return str(insert(table).compile(dialect=dialect, column_keys=columns))


@lru_cache(maxsize=1000)
def _converter(dialect: Dialect, table: Table, column: str) -> Callable[[Any], Any] | None:
    """Return the function from a column's values to the driver's, or None for values taken as they are."""
    kind = table.c[column].type
    # Both drivers take numbers as they are.
    return None if isinstance(kind, Numeric | Float) else kind.dialect_impl(dialect).bind_processor(dialect)
