"""Accuracies are compared input by input where both sides kept them, and the reason is told where not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from orchestrator.domain.comparison import AccuracyMethod, AccuracyTest, Comparison, Verdict
from orchestrator.domain.gate import GateKind, GateTerms
from orchestrator.domain.input_results import CellInputResults, InputEncoding
from orchestrator.domain.measurement import CellResult
from orchestrator.services.results.compare import CompareOptions, compare, compare_runs
from tests.unit.services.cell_results import FakeResults, only_row, result

INPUTS = 200


def judged(variant: str, right: int, run: str = "r1") -> CellResult:
    cell = result(variant, 40.0)
    return replace(cell, cell=replace(cell.cell, run=run), accuracy=right / INPUTS, accuracy_metric="accuracy_top1")


def kept(cell: CellResult, right: int, dataset: str = "d" * 64, count: int = INPUTS) -> CellInputResults:
    """The first inputs are right."""
    data = ((1 << right) - 1).to_bytes((count + 7) // 8, "little")
    return CellInputResults(cell.cell, "accuracy_top1", dataset, InputEncoding.BITS, count, data)


def paired(*results: CellInputResults) -> AccuracyTest | None:
    cells = [judged("fp32", 190), judged("int8", 150)]
    return only_row(compare(FakeResults(cells, input_results=results), "r1", "variant", "fp32")).accuracy_test


def test_two_variants_are_paired_input_by_input() -> None:
    found = paired(kept(judged("fp32", 190), 190), kept(judged("int8", 150), 150))
    assert found is not None
    assert (found.method, found.verdict) == (AccuracyMethod.MCNEMAR, Verdict.REGRESSED)
    assert (found.inputs, found.only_base, found.only_other) == (INPUTS, 40, 0)
    assert found.difference == pytest.approx(-0.2)


def test_two_nights_are_paired_input_by_input() -> None:
    before, after = judged("fp32", 190, "r1"), judged("fp32", 189, "r2")
    results = FakeResults([before, after], input_results=(kept(before, 190), kept(after, 189)))
    row = only_row(compare_runs(results, "r2", "r1"))
    assert row.accuracy_test is not None
    assert (row.accuracy_test.only_base, row.accuracy_test.p_value) == (1, 1.0)
    assert row.accuracy_test.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ((), "no results by input here"),
        ((kept(judged("int8", 150), 150),), "the base has no results by input"),
        (
            (kept(judged("fp32", 190), 190), kept(judged("int8", 150), 150, "e" * 64)),
            "data set eeeeeeeeeeee here, dddddddddddd there",
        ),
        (
            (kept(judged("fp32", 190), 190), kept(judged("int8", 150), 150, count=300)),
            "300 inputs here, 200 there",
        ),
        (
            (kept(judged("fp32", 190), 190), kept(judged("int8", 150), 151)),
            "the results by input here add up to 0.755, and not to the accuracy",
        ),
        (
            (replace(kept(judged("fp32", 190), 190), metric="accuracy_top5"), kept(judged("int8", 150), 150)),
            "the results by input there are of accuracy_top5",
        ),
    ],
)
def test_sides_that_cannot_be_paired_say_why_and_have_no_p_value(
    results: tuple[CellInputResults, ...], reason: str
) -> None:
    found = paired(*results)
    assert found == AccuracyTest(AccuracyMethod.UNPAIRED, reason=reason)


def test_a_side_without_accuracy_has_nothing_to_compare() -> None:
    cells = [judged("fp32", 190), result("int8", 40.0)]
    row = only_row(compare(FakeResults(cells), "r1", "variant", "fp32"))
    assert row.accuracy_test is None


def test_the_gate_bounds_the_drop_whatever_the_inputs_say() -> None:
    """A drop of twenty per cent over ten inputs may be chance, and is no reason to pass (docs/decisions/0030)."""
    fp32, int8 = judged("fp32", 190), judged("int8", 186)
    row = only_row(
        compare(FakeResults([fp32, int8], input_results=(kept(fp32, 190), kept(int8, 186))), "r1", "variant", "fp32")
    )
    assert row.accuracy_test is not None
    assert row.accuracy_test.verdict is Verdict.INCONCLUSIVE
    assert [reason.kind for reason in row.reasons] == [GateKind.LESS_ACCURATE]


def traded(accuracy: float, drop: float | None = None, **options: Any) -> Comparison:
    """Compare fp32 with a clearly faster int8 of an accuracy."""
    fp32 = replace(result("fp32", 40.0), accuracy=0.983, accuracy_metric="accuracy_top1")
    int8 = replace(result("int8", 20.0), accuracy=accuracy, accuracy_metric="accuracy_top1")
    terms = GateTerms(drop)
    return compare(FakeResults([fp32, int8]), "r1", "variant", "fp32", CompareOptions(terms=terms, **options))


def test_speed_that_was_bought_with_accuracy_does_not_count_and_says_so() -> None:
    row = only_row(traded(0.773))
    assert (row.verdict, row.word) == (Verdict.NOT_COMPARABLE, "less accurate")
    assert row.ratio is not None, "the figure stays for who wants it"
    assert row.bought == (
        "latency_ns was bought with accuracy: accuracy_top1 fell from 0.983 to 0.773, more than 0.02 "
        "(--max-accuracy-loss)"
    )
    assert [reason.kind for reason in row.reasons] == [GateKind.LESS_ACCURATE]


@pytest.mark.parametrize(
    ("accuracy", "drop", "counts"),
    [
        (0.983, None, True),
        (0.963, None, True),  # exactly the largest loss
        (0.9629, None, False),
        (0.963, 0.01, False),
        (0.773, 0.5, True),
        (0.99, 0.0, True),
    ],
)
def test_a_loss_counts_from_the_largest_one_on(accuracy: float, drop: float | None, counts: bool) -> None:
    row = only_row(traded(accuracy, drop))
    assert row.verdict is (Verdict.IMPROVED if counts else Verdict.NOT_COMPARABLE)
    assert (row.bought is None) is counts


def test_between_the_two_defaults_the_value_counts_and_the_gate_fails() -> None:
    row = only_row(traded(0.968))
    assert (row.verdict, row.bought) == (Verdict.IMPROVED, None)
    assert [reason.kind for reason in row.reasons] == [GateKind.LESS_ACCURATE]


def test_a_slower_side_is_slower_whatever_its_accuracy() -> None:
    fp32 = replace(result("fp32", 20.0), accuracy=0.983, accuracy_metric="accuracy_top1")
    int8 = replace(result("int8", 40.0), accuracy=0.5, accuracy_metric="accuracy_top1")
    row = only_row(compare(FakeResults([fp32, int8]), "r1", "variant", "fp32"))
    assert (row.verdict, row.bought) == (Verdict.REGRESSED, None)


def test_accuracies_of_two_metrics_buy_nothing() -> None:
    fp32 = replace(result("fp32", 40.0), accuracy=0.983, accuracy_metric="accuracy_top1")
    int8 = replace(result("int8", 20.0), accuracy=0.5, accuracy_metric="accuracy_miou")
    assert only_row(compare(FakeResults([fp32, int8]), "r1", "variant", "fp32")).bought is None


def erring(variant: str, error: float, value: float) -> CellResult:
    return replace(result(variant, value), accuracy=error, accuracy_metric="accuracy_mean_absolute_error")


def errors(cell: CellResult, values: np.ndarray) -> CellInputResults:
    name, data = "accuracy_mean_absolute_error", values.astype("<f4").tobytes()
    return CellInputResults(cell.cell, name, "d" * 64, InputEncoding.SCORES, len(values), data)


def test_of_an_error_less_is_better_and_a_speed_bought_with_it_is_not_comparable() -> None:
    """The loss is relative: 2 % more of an error, in whatever unit the labels have."""
    drawn = np.random.default_rng(3).uniform(10.0, 20.0, 300)
    for factor, verdict, is_bought in ((1.2, Verdict.REGRESSED, True), (0.8, Verdict.IMPROVED, False)):
        base, other = erring("fp32", 15.0, 40.0), erring("int8", 15.0 * factor, 20.0)
        results = (errors(base, drawn), errors(other, drawn * factor))
        row = only_row(compare(FakeResults([base, other], input_results=results), "r1", "variant", "fp32"))
        assert row.accuracy_test is not None
        assert row.accuracy_test.verdict is verdict
        assert (row.bought is not None) is is_bought
        assert row.verdict is (Verdict.NOT_COMPARABLE if is_bought else Verdict.IMPROVED)
    near = only_row(
        compare(FakeResults([erring("fp32", 15.0, 40.0), erring("int8", 15.2, 20.0)]), "r1", "variant", "fp32")
    )
    assert near.bought is None


@pytest.mark.parametrize(
    ("base", "other", "words"),
    [
        (
            None,
            0.403,
            "inputs clipped: 40.3 % of their numbers here, none counted at the base; accuracy and outputs are of those",
        ),
        (
            0.02,
            None,
            "inputs clipped: none counted here, 2 % of their numbers at the base; accuracy and outputs are of those",
        ),
        (0.009, 0.009, None),
        (None, None, None),
    ],
)
def test_inputs_that_a_side_clips_are_told_where_accuracy_is_compared(
    base: float | None, other: float | None, words: str | None
) -> None:
    cells = [replace(judged("fp32", 190), clipped_ratio=base), replace(judged("int8", 150), clipped_ratio=other)]
    row = only_row(compare(FakeResults(cells), "r1", "variant", "fp32"))
    assert row.side.clipped_ratio == other
    assert [note for note in row.notes if "clipped" in note] == ([] if words is None else [words])
