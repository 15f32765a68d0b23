"""docs/schema.md is what the tables and views say, and its examples run."""

import re
from pathlib import Path

import pytest

from orchestrator.store.console.readonly import open_console
from orchestrator.store.schema.document import schema_document
from orchestrator.store.schema.partial_indexes import metadata
from orchestrator.store.schema.views import VIEWS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "schema.md"
EXAMPLES = re.findall(r"SELECT[^;]*;", re.findall(r"```sql\n(.*?)```", schema_document(), re.DOTALL)[0])


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == schema_document(), "python -m orchestrator.store.schema.document"


def test_everything_is_explained() -> None:
    for table in metadata.sorted_tables:
        assert table.info["doc"].endswith(".")
        assert all(column.doc or column.name == "id" for column in table.columns), table.name
    assert all(column.doc.endswith(".") for view in VIEWS for column in view.columns)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[:30])
def test_every_example_runs(database_file: Path, example: str) -> None:
    console = open_console(str(database_file))
    columns, rows = console.query(example)
    assert columns
    assert list(rows) == []
    console.close()
