"""What commands import, which only a process of its own can show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.processes import environment

HEAVY = (
    "alembic",
    "fabric",
    "numpy",
    "paramiko",
    "psycopg",
    "pydantic",
    "ray",
    "rich",
    "scipy",
    "sqlalchemy",
    "stamina",
    "structlog",
    "tensorflow",
    "yaml",
)
"""What takes long to import."""

NEEDED_FOR_TABLES = {"rich"}
"""rich draws them."""

REPORT_IMPORTS = """\
import sys
sys.argv = ["benchfleet", *sys.argv[1:]]
from orchestrator.cli.app import main
try:
    main()
except SystemExit as end:
    print("code", end.code, file=sys.stderr)
print("imported", *sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
"""


def heavy_imports(folder: Path, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", REPORT_IMPORTS, *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "code 0\n" in done.stderr
    imported = done.stderr.rpartition("imported ")[2].split()
    assert "typer" in imported
    return set(HEAVY) & set(imported)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_the_first_page_imports_nothing_heavy(tmp_path: Path, word: str) -> None:
    assert heavy_imports(tmp_path, word) == set()


def test_other_help_pages_import_nothing_heavy(tmp_path: Path) -> None:
    assert heavy_imports(tmp_path, "run", "--help") == set()


@pytest.mark.system
def test_a_list_of_runs_imports_what_draws_tables_and_nothing_else_that_is_heavy(database_file: Path) -> None:
    assert heavy_imports(database_file.parent, "runs", "list") <= NEEDED_FOR_TABLES
