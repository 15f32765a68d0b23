"""`benchfleet compare` as a shell script sees it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.model import Model
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import MODEL, exclude_everything, fail_to_reach, measure

FAST, SLOW = (1000, 1001, 1002), (2000, 2001, 2002)


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_regression_fails_the_command_where_that_is_asked_for(
    command: Command, database_file: Path, flags: tuple[str, ...]
) -> None:
    measure(database_file, {"fp32": FAST, "int8": SLOW})
    words = ("compare", "last", "--base", "fp32", *flags)
    failed = command(*words, "--fail-on-regression")
    assert failed.code == ExitCode.REGRESSION
    assert ("regressed" if flags else "slower") in failed.out
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
    assert "inconclusive  " in ended.out or "noisy  " in ended.out


@pytest.mark.parametrize(
    ("flags", "error", "hint"),
    [
        (
            ("--metric", "energy"),
            "no trial of run run-1 measured 'energy': pi-03: its worker gave no account of power",
            "known: accuracy_top1, latency_ns",
        ),
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


def rebuilt(variant: str) -> Model:
    """Return the model with another artifact of a variant."""
    known = MODEL.variants[variant]
    (artifact,) = known.artifacts
    changed = replace(known, artifacts=(replace(artifact, sha256="d" * 64),))
    return replace(MODEL, variants={**MODEL.variants, variant: changed})


def test_a_rebuilt_cell_is_not_blamed_for_what_its_device_has_done_to_all(
    command: Command, database_file: Path
) -> None:
    variants = ("fp32", "fp16", "int8")
    measure(database_file, dict.fromkeys(variants, FAST), "before", 0)
    measure(database_file, dict.fromkeys(variants, SLOW), "slow-hour", 1, model=rebuilt("int8"))
    slower = {"fp32": FAST, "fp16": FAST, "int8": SLOW}
    measure(database_file, slower, "slower-build", 2, model=rebuilt("int8"))
    gate = ("--against", "before", "--fail-on-regression")
    passed = command("compare", "slow-hour", *gate, "--json")
    assert passed.code == ExitCode.FINE, passed.out
    rows = {group["fixed"]["variant"]: group["rows"][0] for group in json.loads(passed.out)["groups"]}
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(variants, "environment-changed")
    assert "pi-03 itself has moved: x2 in the median of 2 cells of the same bytes" in rows["int8"]["notes"][0]
    assert "same artifact, runtime and worker" in rows["fp32"]["notes"][0]
    warned = command("compare", "slow-hour", *gate)
    assert "Warning (environment-changed)" in warned.out
    assert command("compare", "slow-hour", *gate, "--fail-on-environment-change").code == ExitCode.REGRESSION
    refused = command("compare", "slower-build", *gate)
    assert refused.code == ExitCode.REGRESSION
    assert "itself has moved" not in refused.out


@pytest.mark.parametrize(
    ("against", "taken"),
    [("last-before", "second"), ("first", "first"), ("2026-01-02", "first"), ("2026-01-05", "second")],
)
def test_against_names_a_run_the_run_before_or_a_date(
    command: Command, database_file: Path, against: str, taken: str
) -> None:
    for run, day in {"first": 1, "second": 3, "third": 5}.items():
        measure(database_file, {"fp32": FAST, "int8": SLOW}, run, 0)
        end(database_file, run, f"2026-01-0{day}T12:00:00.000000Z")
    ended = command("compare", "third", "--against", against, "--json")
    assert ended.code == ExitCode.FINE, ended.err
    answer = json.loads(ended.out)
    assert (answer["by"], answer["base"], answer["run"]) == ("run", taken, "third")
    assert len(answer["groups"]) == 2


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("--against", "last"), "run run-1 would be compared with itself"),
        (("--against", "last-before"), "no run of sweep digits-variants with results began before run-1"),
        (("--against", "2020-01-01"), "no other run of sweep digits-variants with results had ended by 2020-01-01"),
        (("--against", "last-before", "--base", "fp32"), "--against and --base contradict each other"),
        (("--against", "last-before", "--by", "variant"), "--against and --by variant contradict each other"),
        (("--by", "run"), "compare --by run needs --against"),
        (("--against", "pinned"), "there is no run 'pinned'"),
        (("--against", "2026-13-45"), "'2026-13-45' is no date, and no run"),
        (("--against", "2026-02-30T10:00"), "'2026-02-30T10:00' is no date, and no run"),
    ],
)
def test_a_run_that_there_is_not_is_said(
    command: Command, database_file: Path, flags: tuple[str, ...], error: str
) -> None:
    measure(database_file, {"fp32": FAST, "int8": SLOW})
    ended = command("compare", "last", *flags)
    assert ended.code == ExitCode.USAGE
    assert error in ended.err


def end(database: Path, run: str, at: str) -> None:
    """Say that a run began and ended at a moment."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE run SET started_at = ?, finished_at = ? WHERE id = ?", (at, at, run))


def test_usual_metrics_are_compared_together_and_details_show_each(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": FAST, "int8": SLOW}, memory={"fp32": 5_000_000, "int8": 9_000_000})
    ended = command("compare", "last", "--base", "fp32", "--fail-on-regression")
    assert ended.code == ExitCode.REGRESSION
    assert "2 metrics by variant against fp32" in ended.out
    assert "rss_bytes_max larger: ratio 1.79" in " ".join(ended.out.split())
    detailed = command("compare", "last", "--base", "fp32", "--details").out
    assert "latency_ns by variant against fp32" in detailed
    assert "rss_bytes_max by variant against fp32" in detailed


def test_a_gate_judges_the_metrics_that_are_named_and_no_others(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": SLOW, "int8": FAST}, memory={"fp32": 5_000_000, "int8": 9_000_000})
    words = ("compare", "last", "--base", "fp32", "--fail-on-regression")
    assert command(*words, "--metric", "latency").code == ExitCode.FINE
    assert command(*words, "--metric", "latency", "--metric", "memory").code == ExitCode.REGRESSION
    assert command(*words).code == ExitCode.REGRESSION


def test_json_csv_and_junit_have_every_metric(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": FAST, "int8": SLOW}, memory={"fp32": 5_000_000, "int8": 9_000_000})
    found = json.loads(command("compare", "last", "--base", "fp32", "--json").out)
    assert found["metric"]["name"] == "latency_ns", "the keys of before mean the first metric"
    assert [metric["name"] for metric in found["further"]] == ["rss_bytes_max"]
    (row,) = found["groups"][0]["rows"]
    assert row["verdict"] == "regressed"
    assert [(one["metric"]["name"], one["word"]) for one in row["metrics"]] == [("rss_bytes_max", "larger")]
    lines = [
        line.split(",") for line in command("compare", "last", "--base", "fp32", "--format", "csv").out.splitlines()
    ]
    metric = lines[0].index("metric")
    assert [line[metric] for line in lines[1:]] == ["latency_ns"] * 2 + ["rss_bytes_max"] * 2
    junit = command("compare", "last", "--base", "fp32", "--format", "junit").out
    assert junit.count('type="regressed"') == 2
    assert 'name="rss_bytes_max: variant int8 against fp32"' in junit


def test_an_undecided_comparison_names_the_command_that_would_settle_it(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": (1000, 1012, 1024), "int8": (1014, 1031, 1008)})
    out = " ".join(command("compare", "last", "--base", "fp32").out.split())
    assert "What would probably settle the inconclusive latency_ns: benchfleet runs resume run-1 --trials +" in out
    assert "--select pi-03 --cells variant=fp32," in out
