"""A run as a file, as a shell script gets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import measure

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

FAST, SLOW = (1000, 1001, 1002, 1000, 1001), (2000, 2001, 2002, 2000, 2001)


@pytest.fixture(autouse=True)
def lab(database_file: Path) -> Path:
    """Two runs; in the second int8 is twice as slow, under another kernel."""
    measure(database_file, {"fp32": FAST, "int8": FAST}, "r1-old")
    measure(database_file, {"fp32": FAST, "int8": SLOW}, "r2-new", 24, kernel="6.6.31")
    return database_file


def test_both_forms_have_the_figures_of_the_comparison_and_what_changed(command: Command, tmp_path: Path) -> None:
    words = ("report", "r2", "--against", "r1", "--html", "run.html", "--markdown", "run.md", "--json")
    ended = command(*words)
    assert ended.code == ExitCode.FINE, ended.err
    files = json.loads(ended.out)
    assert [(one["path"], one["format"]) for one in files] == [("run.html", "html"), ("run.md", "markdown")]
    page, written = (tmp_path / "run.html").read_text(), (tmp_path / "run.md").read_text()
    assert [one["size_bytes"] for one in files] == [len(page.encode()), len(written.encode())]
    for form in (page, written):
        assert "×1.999" in form
        assert "6.6.20" in form
        assert "6.6.31" in form
    assert command("report", "r2", "--against", "r1", "--markdown", "-").out == written
    assert not list(tmp_path.glob(".*incoming"))


def test_without_another_run_variants_are_compared(command: Command, tmp_path: Path) -> None:
    ended = command("report", "last", "--html", "run.html")
    assert ended.code == ExitCode.FINE, ended.err
    assert "by variant against fp32" in (tmp_path / "run.html").read_text()
    measure(tmp_path / "benchfleet.db", {"fp32": FAST}, "r3-one", 48)
    assert command("report", "last", "--html", "run.html").code == ExitCode.FINE
    assert "Results" in (tmp_path / "run.html").read_text()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("report", "last"), "error: which file is to be written?"),
        (
            ("report", "last", "--html", "no/such/folder/run.html"),
            "error: no/such/folder/run.html: the html",
        ),
        (("report", "r9", "--html", "run.html"), "error: there is no run 'r9'"),
        (("report", "r2", "--against", "r2", "--html", "run.html"), "error: run r2-new would be compared with itself"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_no_file(
    command: Command, tmp_path: Path, words: tuple[str, ...], error: str
) -> None:
    ended = command(*words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert not (tmp_path / "run.html").exists()
