"""Series over time as a shell script sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command, Ended
from tests.unit.cli.measured_runs import measure

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

LEVELS = (*(1000 for _ in range(10)), *(1200 for _ in range(10)))


@pytest.fixture(autouse=True)
def lab(database_file: Path) -> Path:
    """int8 on twenty days; from the eleventh on it is a fifth slower. fp32 stays."""
    for day, level in enumerate(LEVELS):
        int8 = [level + place + day % 2 for place in range(3)]
        measure(database_file, {"fp32": [3000.0, 3001.0, 3002.0], "int8": int8}, f"r{day:02}", 24 * day)
    return database_file


def said(ended: Ended) -> Any:
    assert ended.code == ExitCode.FINE, ended.err
    return json.loads(ended.out)


def test_a_history_has_every_run_with_its_interval_the_step_and_what_stands_beside_it(command: Command) -> None:
    command("baseline", "pin", "main", "r00", "--reason", "release")
    command("annotate", "2026-03-12", "another compiler")
    command("annotate", "2025-03-12", "long ago")
    (found,) = said(command("history", "variant=int8", "--json"))
    assert [point["run"] for point in found["points"]] == [f"r{day:02}" for day in range(20)]
    assert all(point["low"] < point["value"] < point["high"] and point["trials"] == 3 for point in found["points"])
    (step,) = found["steps"]
    assert step["run"] == "r10"
    assert step["ratio"] == pytest.approx(1.2, abs=0.002)
    assert found["baseline"]["run"] == "r00"
    assert found["baseline"]["value"] == pytest.approx(1001, abs=0.1)
    assert [note["text"] for note in found["annotations"]] == ["another compiler"]
    shown = command("history", "variant=int8").out
    assert "step ×1.200 from run r10 on" in shown
    assert "another compiler" in shown
    assert shown.count("●") > 10
    lines = command("history", "variant=*", "--format", "csv", "--limit", "4").out.splitlines()
    assert len(lines) == 1 + 2 * 4


def test_a_window_leaves_runs_out_and_keeps_the_baseline(command: Command) -> None:
    command("baseline", "pin", "main", "r00", "--reason", "release")
    (found,) = said(command("history", "variant=int8", "--since", "2026-03-15", "--limit", "3", "--json"))
    assert [point["run"] for point in found["points"]] == ["r17", "r18", "r19"]
    assert found["left_out"] == 3
    assert found["baseline"]["value"] == pytest.approx(1001, abs=0.1)
    assert found["steps_reason"] == "a step is sought in 8 values or more"


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("variant=int9",), "error: no series matches 'variant=int9'", "did you mean 'int8'"),
        (("variant=int8", "--metric", "energy"), "error: no run of the series has a value of 'energy'", "latency_ns"),
        (("variant=int8", "--metric", "size"), "error: the size of an artifact", "--metric size"),
        (("1", "--since", "soon"), "error: --since 'soon' is no time", "30d"),
    ],
)
def test_what_there_is_not_is_said(command: Command, words: tuple[str, ...], error: str, hint: str) -> None:
    ended = command("history", *words)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert hint in ended.err
