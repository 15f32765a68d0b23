"""Describe views and tables to people who write SQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from orchestrator.domain.schema_status import Relation
from orchestrator.store.schema import tables as t
from orchestrator.store.schema.views import VIEWS


@cache
def relations() -> Sequence[Relation]:
    """Return the views, the public interface, and then the tables."""
    views = [Relation(view.name, view.doc, tuple((one.name, one.doc) for one in view.columns)) for view in VIEWS]
    tables = [
        Relation(table.name, table.info["doc"], tuple((column.name, column.doc or "") for column in table.columns))
        for table in sorted(t.metadata.sorted_tables, key=lambda table: table.name)
    ]
    return (*views, *tables)
