"""Baselines, regressions and annotations as a shell script sees them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.regression import Actor, Direction, Figures, Move, RegressionState, Suspicion
from orchestrator.store.store import open_store
from tests.unit.cli.conftest import Command, Ended
from tests.unit.cli.measured_runs import fail_to_reach, measure

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

FAST, SLOW = (1000, 1001, 1002, 1000, 1001), (2000, 2001, 2002, 2000, 2001)
RUNS = {"r1-old": (FAST, FAST), "r2-slow": (FAST, SLOW), "r3-new": (FAST, SLOW)}


@pytest.fixture(autouse=True)
def lab(database_file: Path) -> Path:
    """Two variants in three runs; from the second run on int8 is twice as slow. A night has confirmed that."""
    for hours, (run, (fp32, int8)) in enumerate(RUNS.items()):
        measure(database_file, {"fp32": fp32, "int8": int8}, run, 24 * hours)
    return database_file


def confirm(database: Path, variant: str = "int8") -> int:
    with open_store(str(database)) as store:
        if store.nights.find_night("night-1") is None:
            store.nights.begin_night("night-1", "main")
        (series,) = [
            cell.series for cell in store.results.cell_results("r2-slow", "latency_ns") if cell.cell.variant == variant
        ]
        assert series is not None
        figures = Figures(1.9985, 1.99, 2.01, 20, 20)
        suspicion = Suspicion("main", "night-1", series, "latency_ns", Direction.ROSE, "r2-slow", "r1-old", figures)
        found = store.regressions.suspect(suspicion, "cron@lab", "z 9.1")
        store.regressions.move(
            found.id, Move(RegressionState.CONFIRMED, Actor.NIGHT, "cron@lab", night="night-1", figures=figures)
        )
        return found.id


def said(ended: Ended) -> Any:
    assert ended.code == ExitCode.FINE, ended.err
    return json.loads(ended.out)


def verdicts(ended: Ended) -> dict[str, tuple[str, str | None]]:
    """Return by variant the verdict, and the run of the base."""
    groups = said(ended)["groups"]
    return {
        group["fixed"]["variant"]: (group["rows"][0]["verdict"], (group["base"] or {}).get("at")) for group in groups
    }


def test_a_run_is_pinned_listed_and_compared_with_by_name(command: Command) -> None:
    (made,) = said(command("baseline", "pin", "main", "r1", "--reason", " release 2.3 ", "--json"))
    assert (made["name"], made["run"], made["kind"], made["reason"]) == ("main", "r1-old", "pinned", "release 2.3")
    assert made["superseded_at"] is None
    assert said(command("baseline", "list", "--json")) == [made]
    compared = verdicts(command("compare", "r3", "--against", "main", "--json"))
    assert compared == {"fp32": ("equivalent", "r1-old"), "int8": ("environment-changed", "r1-old")}
    command("baseline", "pin", "main", "r2", "--reason", "release 2.4")
    shown = said(command("baseline", "show", "main", "--json"))
    assert [(one["run"], one["superseded_at"] is None) for one in shown] == [("r1-old", False), ("r2-slow", True)]
    assert "release 2.4" in command("baseline", "show", "main").out


def test_cells_whose_level_is_accepted_are_compared_with_that_level(command: Command) -> None:
    command("baseline", "pin", "main", "r1", "--reason", "release")
    accepted = command(
        *("baseline", "accept", "main", "r2", "--variant", "int*", "--metric", "latency", "--reason", "worth it"),
        "--json",
    )
    (made,) = said(accepted)
    assert (made["kind"], made["metric"], made["series"]["variant"]) == ("accepted", "latency_ns", "int8")
    compared = verdicts(command("compare", "r3", "--against", "main", "--json"))
    assert compared == {"fp32": ("equivalent", "r1-old"), "int8": ("equivalent", "r2-slow")}
    within = verdicts(command("compare", "r2", "--against", "main", "--json"))
    assert within == {"fp32": ("equivalent", "r1-old"), "int8": ("not-comparable", None)}, "its level is the run itself"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("pin", "main", "r9"), "error: there is no run 'r9'"),
        (("pin", "2026-11-28", "r1"), "error: '2026-11-28' cannot name a baseline"),
        (("pin", "last", "r1"), "error: 'last' cannot name a baseline"),
        (("accept", "main", "r1", "--device", "nano-*"), "error: no cell of run r1-old is picked"),
        (("accept", "main", "r1", "--metric", "speed"), "error: no trial of run r1-old measured 'speed'"),
        (("pin", "main", "unreached"), "error: run unreached has no results"),
    ],
)
def test_what_cannot_be_a_baseline_is_refused(command: Command, lab: Path, words: tuple[str, ...], error: str) -> None:
    fail_to_reach(lab, "unreached", hours=99)
    ended = command("baseline", *words, "--reason", "x")
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(error)
    assert "hint: " in ended.err
    assert said(command("baseline", "list", "--json")) == []


def test_a_decision_needs_a_reason(command: Command, lab: Path) -> None:
    for words in (("baseline", "pin", "main", "r1"), ("regressions", "accept", str(confirm(lab)))):
        ended = command(*words, "--reason", " ")
        assert ended.code == ExitCode.USAGE
        assert "--reason needs a line of text" in ended.err


def test_names_that_nobody_knows_say_what_there_is(command: Command) -> None:
    assert "no baseline yet" in command("baseline", "list").err
    said(command("baseline", "pin", "main", "r1", "--reason", "x", "--json"))
    unknown = command("baseline", "show", "mian")
    assert unknown.code == ExitCode.USAGE
    assert "main" in unknown.err
    compared = command("compare", "last", "--against", "mian")
    assert compared.code == ExitCode.USAGE
    assert "error: there is no run 'mian', and no baseline of that name" in compared.err
    assert "known: main" in compared.err
    itself = command("compare", "r1", "--against", "main")
    assert "nothing to compare with in baseline main: run r1-old is its level itself" in itself.err


def test_a_regression_is_listed_shown_and_acknowledged(command: Command, lab: Path) -> None:
    assert "no regression is open" in command("regressions", "list").err
    regression = str(confirm(lab))
    (listed,) = said(command("regressions", "list", "--json"))
    assert (listed["id"], listed["state"], listed["figures"]["ratio"]) == (int(regression), "confirmed", 1.9985)
    shown = command("regressions", "show", regression).out
    assert "confirmed · latency_ns rose · pi-03 · digits · int8" in shown
    assert "candidate r2-slow over baseline r1-old: ×" in shown
    after = said(command("regressions", "acknowledge", regression, "--reason", "known", "--json"))
    assert after["regression"]["state"] == "acknowledged"
    assert [(one["state"], one["night"], one["reason"]) for one in after["events"]] == [
        ("detected", "night-1", "z 9.1"),
        ("confirmed", "night-1", None),
        ("acknowledged", None, "known"),
    ]
    assert len(said(command("regressions", "list", "--json"))) == 1
    assert said(command("regressions", "list", "--nightly", "other", "--json")) == []


def test_an_accepted_regression_is_over_and_its_level_is_the_baseline(command: Command, lab: Path) -> None:
    command("baseline", "pin", "main", "r1", "--reason", "release")
    regression = str(confirm(lab))
    said(command("regressions", "accept", regression, "--reason", "worth it", "--json"))
    assert said(command("regressions", "list", "--json")) == []
    assert [one["state"] for one in said(command("regressions", "list", "--all", "--json"))] == ["accepted"]
    compared = verdicts(command("compare", "r3", "--against", "main", "--json"))
    assert compared["int8"] == ("equivalent", "r2-slow")
    again = command("regressions", "invalid", regression, "--reason", "no")
    assert again.code == ExitCode.USAGE
    assert "is accepted: a person cannot make it invalid" in again.err


def test_a_regression_of_an_accepted_level_is_over(command: Command, lab: Path) -> None:
    confirm(lab)
    command("baseline", "accept", "main", "r2", "--reason", "all of it")
    assert said(command("regressions", "list", "--json")) == []


def test_an_invalid_regression_leaves_the_baseline_alone(command: Command, lab: Path) -> None:
    regression = str(confirm(lab))
    details = said(command("regressions", "invalid", regression, "--reason", "fan", "--json"))
    assert details["regression"]["state"] == "invalid"
    assert said(command("baseline", "list", "--json")) == []
    assert command("regressions", "show", "999").err.startswith("error: there is no regression 999\n")


def test_annotations_are_about_dates_runs_devices_and_series(command: Command, lab: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    regression = str(confirm(lab))
    series = said(command("regressions", "show", regression, "--json"))["regression"]["series"]["id"]
    for words in (
        ("2026-01-01..2026-01-03", "heat"),
        ("r2", "odd run"),
        ("pi-03", "fan replaced"),
        ("pi-03", "fan broken", "--on", "2025-12-30"),
        (today, "one cell", "--series", str(series)),
    ):
        said(command("annotate", *words, "--json"))
    found = {one["text"]: one for one in said(command("annotate", "--list", "--json"))}
    assert (found["heat"]["first_day"], found["heat"]["last_day"]) == ("2026-01-01", "2026-01-03")
    assert found["odd run"]["run"] == "r2-slow"
    assert (found["fan replaced"]["device"], found["fan replaced"]["first_day"]) == ("pi-03", today)
    assert found["fan broken"]["first_day"] == "2025-12-30"
    assert found["one cell"]["series"] == series
    of_days = said(command("annotate", "--list", "2026-01-03", "--json"))
    assert "heat" in {one["text"] for one in of_days}
    assert "fan broken" not in {one["text"] for one in of_days}
    life = said(command("regressions", "show", regression, "--json"))
    assert {one["text"] for one in life["annotations"]} == {"fan replaced", "one cell"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("pi-99", "?"), "pi-99: this database has never seen a device of that name"),
        (("2026-13-01", "?"), "'2026-13-01' is no date"),
        (("2026-02-01..2026-01-01", "?"), "the range ends before it begins"),
        (("2026-02-01", "?", "--series", "99"), "there is no series 99"),
        (("pi-03", " "), "an annotation needs a line of text"),
        (("pi-03",), "what is the text, and what is it about?"),
        (("--list", "pi-03"), "'pi-03' is no date"),
        (("--list", "2026-02-01", "?"), "--list takes no text"),
    ],
)
def test_an_annotation_that_is_about_nothing_is_refused(command: Command, words: tuple[str, ...], error: str) -> None:
    ended = command("annotate", *words)
    assert ended.code == ExitCode.USAGE
    assert error in ended.err
    assert said(command("annotate", "--list", "--json")) == []
