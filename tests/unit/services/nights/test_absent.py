"""Cells without a value: what fails a night without statistics, and what only leaves a gap."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from orchestrator.analysis.nights.subjects import BaselineSide, CellKey, Finding, Key, OpenRegression, Subject
from orchestrator.domain.gate import GateTerms
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.night import NightVerdict
from orchestrator.services.nights.absent import absent, without_most_trials
from orchestrator.services.nights.accuracy import judge_accuracy
from orchestrator.services.nights.values import TonightCell

V = NightVerdict
METRIC = "latency_ns"
KEY = CellKey("pi-03", "digits · int8")
CELL = Cell("run-2", "pi-03", "digits", "int8", "ai-edge-litert==2.3.0", {})
BASE = BaselineSide("run-1", "digits-1", (7.6, 7.6), identical=False)
SUBJECT = Subject(Key(*KEY, METRIC), 1, 0.01, baseline=BASE)


def a_result(**fields: object) -> CellResult:
    none = CellResult(CELL, METRIC, (), invalid=0, failed=0, missing=0, size_bytes=1, accuracy=None, rejected=None)
    return replace(none, **fields)  # type: ignore[arg-type]


def tonight(result: CellResult | None, why_absent: str | None = None) -> TonightCell:
    return TonightCell(0, "digits", KEY, CELL, None, {METRIC: result} if result else {}, why_absent)


@pytest.mark.parametrize(
    ("cell", "verdict", "words"),
    [
        (tonight(a_result(rejected="load-error: no such op", failed=5)), V.DOES_NOT_LOAD, "no such op"),
        (tonight(a_result(failed=5, failures=("timeout: 60 s",))), V.MISSING, "timeout: 60 s"),
        (tonight(None, "no wheel for it"), V.MISSING, "left out of the plan: no wheel for it"),
        (None, V.MISSING, "no such cell any more"),
        (tonight(a_result(without_metric=5)), V.MISSING, "no trial reports latency_ns"),
        (tonight(a_result(invalid=5)), V.INCONCLUSIVE, "every trial was disturbed"),
        (tonight(a_result(missing=5)), V.INCONCLUSIVE, "have not run"),
    ],
)
def test_what_the_baseline_has_and_tonight_has_not(cell: TonightCell | None, verdict: V, words: str) -> None:
    found = absent(SUBJECT, cell, METRIC, None)
    assert found.verdict is verdict
    assert words in found.reason
    assert found.undecided is (verdict is V.INCONCLUSIVE)


def test_what_never_had_a_value_regresses_from_nothing() -> None:
    found = absent(replace(SUBJECT, baseline=None), tonight(a_result(rejected="no such op")), METRIC, None)
    assert (found.verdict, found.undecided) == (V.INCONCLUSIVE, True)


def test_a_lost_device_makes_none_of_its_cells_missing() -> None:
    found = absent(SUBJECT, tonight(a_result(missing=5)), METRIC, "connection refused")
    assert (found.verdict, found.undecided) == (V.INCONCLUSIVE, True)
    assert "connection refused" in found.reason


@pytest.mark.parametrize(
    ("environment", "verdict"), [("kernel 6.1 -> 6.6", V.ENVIRONMENT_CHANGED), (None, V.INCONCLUSIVE)]
)
def test_identical_bytes_that_do_not_load_point_at_the_device(environment: str | None, verdict: V) -> None:
    same = replace(SUBJECT, baseline=replace(BASE, identical=True), environment=environment)
    found = absent(same, tonight(a_result(rejected="no such op")), METRIC, None)
    assert found.verdict is verdict
    assert "identical bytes" in found.reason


def test_a_quarantined_series_is_not_missing() -> None:
    found = absent(replace(SUBJECT, quarantine="too noisy"), tonight(a_result(failed=5)), METRIC, None)
    assert found.verdict is V.QUARANTINED


def test_a_quarantined_series_that_does_not_load_fails_the_night() -> None:
    cell = tonight(a_result(rejected="load-error: no such op", failed=5))
    found = absent(replace(SUBJECT, quarantine="too noisy"), cell, METRIC, None)
    assert found.verdict is V.DOES_NOT_LOAD
    assert "no such op" in found.reason


def test_a_cell_that_is_still_missing_says_since_when() -> None:
    opened = OpenRegression(7, None, "digits-20261120", known=False, verdict=V.MISSING)
    found = absent(replace(SUBJECT, opened=opened), tonight(a_result(failed=5)), METRIC, None)
    assert found.verdict is V.MISSING
    assert "since night digits-20261120" in found.reason


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (0.983, 0.983, V.CLEAN),
        (0.983, 0.974, V.CLEAN),
        (0.983, 0.103, V.CONFIRMED),
        (0.983, float("nan"), V.CONFIRMED),
        (0.983, None, V.MISSING),
        (None, 0.983, V.INCONCLUSIVE),
    ],
)
def test_a_fall_in_accuracy_needs_no_statistics(before: float | None, now: float | None, verdict: V) -> None:
    base = a_result(accuracy=before, accuracy_metric="accuracy_top1")
    found = judge_accuracy(SUBJECT, base, a_result(accuracy=now, accuracy_metric="accuracy_top1"), GateTerms())
    assert found is not None
    assert found.verdict is verdict


def test_a_cell_without_any_accuracy_has_no_verdict_on_it() -> None:
    assert judge_accuracy(SUBJECT, a_result(), a_result(), GateTerms()) is None


def test_an_accuracy_that_is_back_is_a_fix() -> None:
    opened = OpenRegression(7, None, "digits-20261120", known=False, verdict=V.CONFIRMED)
    base = a_result(accuracy=0.98, accuracy_metric="accuracy_top1")
    found = judge_accuracy(replace(SUBJECT, opened=opened), base, base, GateTerms())
    assert found is not None
    assert found.verdict is V.FIXED


KNOWN = OpenRegression(7, 0.05, "digits-20261120", known=True, verdict=V.CONFIRMED)


@pytest.mark.parametrize(
    ("opened", "reopens"),
    [
        (KNOWN, True),
        (replace(KNOWN, known=False), False),
        (replace(KNOWN, verdict=V.MISSING), False),
        (replace(KNOWN, change=None, verdict=V.DOES_NOT_LOAD), False),
    ],
)
def test_a_cell_that_does_not_load_is_more_than_an_acknowledged_slowness(opened: OpenRegression, reopens: bool) -> None:
    cell = tonight(a_result(rejected="load-error: no such op", failed=5))
    found = absent(replace(SUBJECT, opened=opened), cell, METRIC, None)
    assert (found.verdict, found.reopens) == (V.DOES_NOT_LOAD, reopens)
    assert not absent(replace(SUBJECT, opened=opened), cell, METRIC, "connection refused").reopens


@pytest.mark.parametrize(
    ("now", "reopens"), [(0.96, False), (0.955, False), (0.949, True), (0.1, True), (0.0, True), (None, True)]
)
def test_an_acknowledged_fall_in_accuracy_covers_no_further_fall(now: float | None, reopens: bool) -> None:
    base = a_result(accuracy=0.98, accuracy_metric="accuracy_top1")
    opened = replace(KNOWN, change=math.log(0.96 / 0.98))
    cell = a_result(accuracy=now, accuracy_metric="accuracy_top1")
    found = judge_accuracy(replace(SUBJECT, opened=opened), base, cell, GateTerms())
    assert found is not None
    assert found.reopens is reopens
    if not reopens:
        assert found.change == opened.change, "small falls must not add up"


@pytest.mark.parametrize(
    ("before", "failed", "after"),
    [
        (V.CLEAN, 1, V.CLEAN),
        (V.CLEAN, 4, V.INCONCLUSIVE),
        (V.FIXED, 4, V.INCONCLUSIVE),
        (V.IMPROVED, 4, V.INCONCLUSIVE),
        (V.CONFIRMED, 4, V.CONFIRMED),
    ],
)
def test_a_cell_most_of_whose_trials_crash_is_not_clean(before: V, failed: int, after: V) -> None:
    result = a_result(trial_values=(1000.0,), failed=failed, failures=("crash: SIGSEGV",))
    found = without_most_trials(Finding(before, "as its history lets expect"), result)
    assert (found.verdict, found.undecided) == (after, failed > 1)
    assert ("4 of 5 trials failed: crash: SIGSEGV" in found.reason) is (failed > 1)


def test_a_value_of_zero_leaves_a_gap_where_the_baseline_has_a_value() -> None:
    cell = tonight(a_result(trial_values=(0.0, 1.0)))
    assert absent(SUBJECT, cell, METRIC, None).undecided
    never = replace(SUBJECT, baseline=replace(BASE, trials=()))
    assert not absent(never, cell, METRIC, None).undecided
