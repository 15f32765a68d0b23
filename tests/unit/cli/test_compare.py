"""`benchfleet compare` as a shell script sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import exclude_everything, fail_to_reach, measure

FAST, SLOW = (1000, 1001, 1002), (2000, 2001, 2002)


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_regression_fails_the_command_where_that_is_asked_for(
    command: Command, database_file: Path, flags: tuple[str, ...]
) -> None:
    measure(database_file, {"fp32": FAST, "int8": SLOW})
    words = ("compare", "last", "--base", "fp32", *flags)
    failed = command(*words, "--fail-on-regression")
    assert failed.code == ExitCode.REGRESSION
    assert "regressed" in failed.out
    assert failed.err == ""
    assert command(*words).code == ExitCode.FINE


def test_an_improvement_is_no_regression(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": SLOW, "int8": FAST})
    ended = command("compare", "last", "--base", "fp32", "--fail-on-regression", "--json")
    assert ended.code == ExitCode.FINE
    assert json.loads(ended.out)["groups"][0]["rows"][0]["verdict"] == "improved"


def test_what_is_not_confirmed_is_no_regression(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": (1000, 1300, 1600), "int8": (1200, 1400, 1700)})
    ended = command("compare", "last", "--base", "fp32", "--fail-on-regression")
    assert ended.code == ExitCode.FINE
    assert "inconclusive" in ended.out


@pytest.mark.parametrize(
    ("flags", "error", "hint"),
    [
        (("--metric", "energy"), "no trial of run run-1 measured 'energy'", "known: accuracy_top1, latency_ns"),
        (("--by", "threads"), "every cell of run run-1 has threads 1", "what varies is variant: fp32, int8"),
        (("--base", "fp64"), "run run-1 has no variant 'fp64'", "known: fp32, int8"),
    ],
)
def test_what_the_run_lacks_is_one_line_with_what_it_has(
    command: Command, database_file: Path, flags: tuple[str, ...], error: str, hint: str
) -> None:
    measure(database_file, {"fp32": FAST, "int8": SLOW})
    ended = command("compare", "last", "--base", "fp32", *flags)
    assert ended.code == ExitCode.USAGE
    said, advised = ended.err.splitlines()
    assert said.endswith(error)
    assert advised == f"hint: {hint}"


def test_one_trial_says_that_the_spread_is_unknown_and_names_no_number(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": FAST[:1], "int8": SLOW[:1]})
    ended = command("compare", "last", "--base", "fp32")
    assert "the spread is unknown" in ended.out
    assert "more trial" not in ended.out


def test_last_is_the_newest_run_and_one_without_results_names_the_newest_that_has_some(
    command: Command, database_file: Path
) -> None:
    for run, hours in {"old": 0, "good": 1}.items():
        measure(database_file, {"fp32": FAST, "int8": SLOW}, run, hours)
    fail_to_reach(database_file, "unreached", hours=2)
    ended = command("compare", "last", "--base", "fp32")
    assert ended.code == ExitCode.INCOMPLETE
    assert ended.err.splitlines() == [
        "error: run unreached has no jobs: no device of it was ever planned",
        "hint: benchfleet runs show unreached says why; the newest run with results is good",
    ]
    shown = command("runs", "show", "last")
    assert shown.code == ExitCode.INFRASTRUCTURE
    assert "connect: timed out" in shown.out


def test_a_run_whose_cells_were_all_excluded_says_so_and_is_not_whole(command: Command, database_file: Path) -> None:
    exclude_everything(database_file, "nothing")
    shown = command("runs", "show", "last")
    assert shown.code == ExitCode.INCOMPLETE
    assert "cells that were not planned" in shown.out
    assert "processors" in shown.out
    left_out = json.loads(command("runs", "show", "last", "--json").out)["excluded"]
    assert {(cell["device"], cell["label"].split(" ")[0]) for cell in left_out} == {
        ("pi-03", "fp32"),
        ("pi-03", "int8"),
    }
    compared = command("compare", "last", "--base", "fp32")
    assert compared.code == ExitCode.INCOMPLETE
    assert "error: run nothing has no jobs: all its cells were excluded, such as fp32" in compared.err
