"""Accuracies are compared input by input where both sides kept them, and the reason is told where not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.comparison import AccuracyMethod, AccuracyTest, Verdict
from orchestrator.domain.gate import GateKind
from orchestrator.domain.input_results import CellInputResults, InputEncoding
from orchestrator.domain.measurement import CellResult
from orchestrator.services.results.compare import compare, compare_runs
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
