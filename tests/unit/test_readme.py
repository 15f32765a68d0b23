"""What the README shows is what the program says and understands."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from tests.unit.cli.measured_runs import measure

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_its_help_block_is_the_help() -> None:
    shown = re.search(r"^```console\n\$ benchfleet --help\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown is not None, "README.md: no block that begins with `$ benchfleet --help`"
    printed = CliRunner().invoke(app, ["--help"], prog_name="benchfleet", env={"COLUMNS": "80"}).stdout
    assert shown[1].strip() == printed.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_query_that_is_shown_is_understood_by_the_database(page: Path, database_file: Path) -> None:
    statements = re.findall(r'benchfleet sql "([^"]+)"', page.read_text(encoding="utf-8"))
    connection = sqlite3.connect(database_file)
    for statement in statements:
        connection.execute(f"EXPLAIN {statement}")
    connection.close()


SQL_HELP = CliRunner().invoke(app, ["sql", "--help"], prog_name="benchfleet", env={"COLUMNS": "80"}).stdout


@pytest.mark.parametrize("page", [README, SQL_HELP], ids=["readme", "help"])
def test_every_row_of_a_query_that_is_shown_can_be_told_from_the_others(page: str, tmp_path: Path) -> None:
    """Two runs of several cells with equal results: only what identifies a row can tell them apart."""
    for hours, run in enumerate(("one", "two")):
        measure(tmp_path / "a.db", {"fp32": (1000, 1000), "int8": (1000, 1000)}, run, hours, threads=(1, 2))
    statements = re.findall(r'benchfleet sql "([^"]+)"', page)
    assert statements
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
            assert len(rows) == len(set(rows)) >= 4, statement


def test_every_target_of_make_that_is_shown_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    shown = re.findall(r"(?:^    |`)make ([a-z]+)", README, re.MULTILINE)
    assert shown
    assert set(shown) <= targets


def test_every_file_that_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert links
    missing = [link for link in links if not (REPOSITORY / link).exists()]
    assert missing == []
