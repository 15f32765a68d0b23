"""`db schema` and `db copy`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import measure
from tests.unit.cli.processes import REPOSITORY


def test_the_reference_of_the_schema_comes_with_the_program(command: Command) -> None:
    ended = command("db", "schema")
    assert ended.code == ExitCode.FINE
    assert ended.out == (REPOSITORY / "docs" / "schema.md").read_text(encoding="utf-8")
    named = command("db", "schema", "v_attempt", "run_tag")
    assert named.out.startswith("### v_attempt (version 1)\n")
    assert "\n### run_tag\n" in named.out
    assert "## Tables" not in named.out
    assert command("db", "schema", "v_atempt").err.endswith("hint: did you mean 'v_attempt'?\n")


@pytest.mark.system
def test_a_lab_moves_into_another_database(command: Command, tmp_path: Path) -> None:
    measure(tmp_path / "benchfleet.db", {"fp32": (1000, 1100), "int8": (500, 510)})
    moved = command("db", "copy", "moved.db")
    assert moved.code == ExitCode.FINE, moved.err
    assert " rows of " in moved.out
    values = ("sql", "SELECT * FROM v_cell ORDER BY variant, kind", "--json")
    assert json.loads(command(*values, "--db", "moved.db").out) == json.loads(command(*values).out) != []
    tables = {row["table"]: row["rows"] for row in json.loads(command("db", "copy", "b.db", "--json").out)["tables"]}
    assert (tables["run"], tables["deleted_run"]) == (1, 0)


@pytest.mark.system
def test_what_cannot_be_copied_is_said_and_left_alone(command: Command, tmp_path: Path) -> None:
    assert command("db", "copy", "to.db").err.startswith(f"error: {tmp_path}/benchfleet.db: there is no such database")
    assert not (tmp_path / "to.db").exists()
    measure(tmp_path / "benchfleet.db", {"fp32": (1000, 1100)})
    measure(tmp_path / "to.db", {"fp32": (7, 7)}, run="other")
    before = (tmp_path / "to.db").read_bytes()
    refused = command("db", "copy", "to.db")
    assert refused.code == ExitCode.USAGE
    assert "to.db: the database is not empty: rows in " in refused.err
    assert (tmp_path / "to.db").read_bytes() == before
    assert command("db", "copy", "benchfleet.db").err.startswith(f"error: {tmp_path}/benchfleet.db: is the database")
