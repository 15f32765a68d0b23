"""Expand the SQL of a Grafana board as Grafana's documentation says, so that a test can execute the SQL.

First a variable's value takes the place of `${name:sqlstring}`: values in single quotes, each quote in a value doubled,
with commas between. Then `$__timeFilter(column)` becomes `column BETWEEN '2026-01-01T00:00:00Z' AND '…'`. What the
boards do not use is not expanded here, and refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_MACRO = re.compile(r"\$__timeFilter\(([a-z_.]+)\)")

Board = Mapping[str, Any]
Range = tuple[datetime, datetime]


def sqlstring(values: Sequence[str]) -> str:
    """Return values as Grafana's format `sqlstring` writes them."""
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


def expanded(sql: str, values: Mapping[str, Sequence[str]], time: Range) -> str:
    """Return SQL for PostgreSQL. Raise ValueError for what is no variable in this form, and no macro that is known."""
    begin, end = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in time)
    if "$" in _MACRO.sub("", _VARIABLE.sub("", sql)):
        raise ValueError(f"more than `${{name:sqlstring}}` and `$__timeFilter(column)`: {sql}")
    with_values = _VARIABLE.sub(lambda found: sqlstring(values[found[1]]), sql)
    return _MACRO.sub(lambda found: f"{found[1]} BETWEEN '{begin}' AND '{end}'", with_values)


def statements(board: Board) -> Iterator[tuple[str, str]]:
    """Yield name and SQL of each panel, and of what is drawn over panels."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["rawSql"]
    for events in board["annotations"]["list"]:
        yield events["name"], events["target"]["rawSql"]


def choices(
    board: Board, connection: Connection[Any], time: Range, made: Mapping[str, Sequence[str]] | None = None
) -> dict[str, list[str]]:
    """Return what each variable offers, in the board's order: all where several may be chosen, else the first.

    Without anything to choose from, that is no value for the one and an empty text for the other.
    Choices that are `made` stay as they are.
    """
    chosen = {name: list(values) for name, values in (made or {}).items()}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query" and variable["name"] not in chosen:
            rows = connection.execute(expanded(variable["query"], chosen, time).encode()).fetchall()
            offered = [str(row[0]) for row in rows]
            chosen[variable["name"]] = offered if variable["multi"] else (offered or [""])[:1]
    return chosen
