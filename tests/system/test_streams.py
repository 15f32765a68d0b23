"""The command's own streams: terminals and their colours, pipes whose reader leaves, full disks, completion."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.measured_runs import measure
from tests.unit.cli.processes import REPOSITORY, environment

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("database_file")]


def on_terminal(folder: Path, *words: str, **changes: str) -> bytes:
    """Return what a command writes to a terminal that is its standard output and error."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *words],
        cwd=folder,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
    ):
        os.close(its)
        written = b""
        try:
            while chunk := os.read(ours, 4096):
                written += chunk
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
    os.close(ours)
    return written


def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    words = ("plan", "nowhere.yaml", "--inventory", str(REPOSITORY / "inventory" / "local.yaml"))
    assert b"\x1b[31merror: " in on_terminal(tmp_path, *words)
    assert b"\x1b" not in on_terminal(tmp_path, *words, NO_COLOR="1")
    assert b"\x1b[1m" in on_terminal(tmp_path, "sql", "SELECT 1 AS one")


def test_a_reader_that_leaves_does_not_hide_a_regression(database_file: Path, tmp_path: Path) -> None:
    measure(database_file, {"fp32": (1000, 1001, 1002), "int8": (2000, 2001, 2002)})
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "compare", "last", "--base", "fp32", "--fail-on-regression"],
        cwd=tmp_path,
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.REGRESSION, b"")


def test_output_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    buffered = {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "sql", "SELECT 1"],
            cwd=tmp_path,
            env=buffered,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == ExitCode.INFRASTRUCTURE
    assert done.stderr.splitlines()[0] == b"error: the output cannot be written: No space left on device"


def test_a_closed_standard_output_is_none(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "orchestrator", "runs", "list"]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *words], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == ExitCode.FINE, done.stderr


def test_a_statement_may_come_from_standard_input_and_begin_with_a_comment(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "sql", "-", "--format", "csv"],
        cwd=tmp_path,
        env=environment(),
        input=b"-- how many runs?\nSELECT count(*) AS n FROM run\n",
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"n\n0\n"


@pytest.mark.parametrize(("form", "rows"), [("csv", 30_000), ("json", 30_000), ("table", 800)])
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, form: str, rows: int) -> None:
    many = f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {rows}) SELECT x FROM c"
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "sql", many, "--format", form],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.FINE


def test_a_terminal_that_lacks_a_character_gets_its_table_all_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "sql", "SELECT 'µs' AS unit"],
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"unit\n\\xb5s\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("benchfleet ru", ["run", "runs"]),
        ("benchfleet runs re", ["resume"]),
        ("benchfleet compare last --ba", ["--base"]),
    ],
)
def test_bash_completes_commands_and_options(tmp_path: Path, typed: str, offered: list[str]) -> None:
    place = str(len(typed.split()) - 1)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator"],
        cwd=tmp_path,
        env=environment(_BENCHFLEET_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=place),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == offered
