"""A new version of a view says what the one before said: the same rows of the same tables, over random histories."""

import re
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import Connection, text

from orchestrator.store.schema.migrations import migrations_directory
from orchestrator.store.schema.views import VIEWS, ViewColumn, ViewVersion
from orchestrator.store.store import Store
from tests.histories import store_random_history

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

BEFORE = ("v_cell.3", "v_history.2", "v_latest.2", "v_variant_compare.4")
SINCE = {"better"}
"""Columns that the versions before had not."""


def _columns(view: ViewVersion) -> Sequence[ViewColumn]:
    return [column for column in view.columns if column.name not in SINCE]


@pytest.mark.parametrize("seed", range(3))
def test_the_versions_that_read_cells_answer_as_those_that_ranked_measurements(store: Store, seed: int) -> None:
    store_random_history(store, seed)
    with store.database.read() as connection:
        before = rows_of_earlier_versions(connection)
        for name, rows in before.items():
            columns = ", ".join(column.name for view in VIEWS if view.name == name for column in _columns(view))
            found = connection.execute(text(f"SELECT {columns} FROM {name}"))
            assert sorted(map(repr, found)) == rows, name
    assert min(map(len, before.values())) > 50


def rows_of_earlier_versions(connection: Connection) -> Mapping[str, list[str]]:
    """Return the rows of each view as its last version of before gives them, in the columns of today."""
    for file in BEFORE:
        statement = (migrations_directory() / "views" / f"{file}.sql").read_text(encoding="utf-8")
        statement = re.sub(r"\b(v_\w+)", r"before_\1", statement)
        connection.execute(text(statement.replace("CREATE VIEW", "CREATE TEMPORARY VIEW", 1)))
    rows = {}
    for view in VIEWS:
        if any(file.startswith(f"{view.name}.") for file in BEFORE):
            columns = ", ".join(column.name for column in _columns(view))
            found = connection.execute(text(f"SELECT {columns} FROM before_{view.name}"))
            rows[view.name] = sorted(map(repr, found))
    for file in reversed(BEFORE):
        connection.execute(text(f"DROP VIEW before_{file.split('.')[0]}"))
    return rows
