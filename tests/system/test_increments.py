"""`--missing` and `--stale`, with the real commands: what has a counted result of the same bytes is not run again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import OK_PROGRAM, Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
CELLS: dict[str, Any] = {"matrix": {"threads": [1, 2]}, "trials": 1, "variants": ["fp32"]}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path / "lab")
    lab.add_local("desk", exclusive=False)
    lab.write_exec_sweep(**CELLS)
    return lab


def ran(lab: Lab, *words: str) -> dict[str, list[int]]:
    """Run what is missing, and return by run the numbers of threads of the cells with results."""
    done = lab.run("run", "sweep.yaml", *words)
    assert done.returncode == ExitCode.FINE, done.stderr
    return cells(lab)


def cells(lab: Lab) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in lab.rows(
        "SELECT r.id AS run, j.settings FROM job j JOIN run_device d ON d.id = j.run_device_id"
        " JOIN run r ON r.id = d.run_id ORDER BY r.started_at, r.id, j.id"
    ):
        found.setdefault(row["run"], []).append(json.loads(row["settings"])["threads"])
    return found


def test_only_what_is_missing_is_run_and_nothing_left_is_no_failure(lab: Lab) -> None:
    first = ran(lab, "--threads", "1")
    assert list(first.values()) == [[1]]
    second = ran(lab, "--missing")
    assert list(second.values()) == [[1], [2]]
    (run,) = set(second) - set(first)
    shown = lab.run("runs", "show", run)
    assert "has a counted result: run " in shown.stdout
    assert shown.returncode == ExitCode.FINE

    again = lab.run("run", "sweep.yaml", "--missing")
    assert (again.returncode, again.stdout) == (ExitCode.FINE, "")
    assert again.stderr.splitlines()[-1] == "nothing to run on desk: all 2 cells have a counted result"
    assert cells(lab) == second, "no run was made"
    plan = lab.run("plan", "sweep.yaml", "--missing")
    assert plan.returncode == ExitCode.FINE
    assert plan.stderr.endswith("nothing to run: every cell that can run has a counted result\n")
    assert lab.run("plan", "sweep.yaml", "--set", "exclude=[{device: desk}]").returncode == ExitCode.USAGE


def test_other_bytes_and_excluded_runs_are_missing(lab: Lab) -> None:
    first = ran(lab, "--threads", "1")
    lab.write("sweep.sh", f"# another program\n{OK_PROGRAM}")
    second = ran(lab, "--missing", "--threads", "1")
    assert list(second.values()) == [[1], [1]]
    (run,) = set(second) - set(first)
    assert lab.run("runs", "exclude", run, "--reason", "window open").returncode == ExitCode.FINE
    third = ran(lab, "--missing", "--threads", "1")
    assert list(third.values()) == [[1], [1], [1]]
    fourth = ran(lab, "--missing", "--threads", "1", "--set", "environment={LANG: C}")
    assert list(fourth.values()) == [[1], [1], [1], [1]]


def test_an_old_result_is_stale_and_a_resume_keeps_to_the_same_cells(lab: Lab) -> None:
    first = ran(lab, "--threads", "1")
    assert ran(lab, "--stale", "7d", "--threads", "1") == first
    with closing(sqlite3.connect(lab.database)) as connection, connection:
        before = datetime.now(UTC) - timedelta(days=8)
        connection.execute("UPDATE run SET started_at = ?", [before.strftime("%Y-%m-%d %H:%M:%S.%f")])
    assert list(ran(lab, "--missing", "--threads", "1")) == list(first)
    second = ran(lab, "--stale", "7d")
    assert list(second.values()) == [[1], [1, 2]]
    wrong = lab.run("run", "sweep.yaml", "--stale", "7d", "--missing")
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (
        ExitCode.USAGE,
        "error: --missing and --stale exclude each other",
    )
    (kept,) = lab.rows("SELECT settings FROM run ORDER BY started_at DESC LIMIT 1")
    assert json.loads(kept["settings"])["stale_s"] == 7 * 86_400


def test_a_daemon_decides_when_the_run_begins(lab: Lab) -> None:
    for name in ("one", "two"):
        done = lab.run("submit", "sweep.yaml", "--missing", "--name", name)
        assert done.returncode == ExitCode.FINE, done.stderr
    drained = lab.run("daemon", "--drain", timeout_s=200)
    assert drained.returncode == ExitCode.FINE, drained.stderr
    assert list(cells(lab).values()) == [[1, 2]], "the second had nothing left"
    over = json.loads(lab.run("queue", "list", "--over", "5", "--json").stdout)["entries"]
    told = {one["submission"]["name"]: one["submission"]["error"] for one in over}
    assert told == {"one": None, "two": "nothing to run on desk: all 2 cells have a counted result"}
