"""Comparisons over time, and the default base."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.comparison import Kind, Verdict
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.gate import GateKind, GateTerms
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.run import ExcludedCell
from orchestrator.services.results.compare import CompareOptions, compare, compare_runs
from tests.unit.services.cell_results import TFLITE, FakeResults, only_row, result

FP32, INT8 = result("fp32", 40_000.0), result("int8", 20_000.0)


def later(cell: CellResult, factor: float = 1.0) -> CellResult:
    values = tuple(value * factor for value in cell.trial_values)
    return replace(cell, cell=replace(cell.cell, run="r2"), trial_values=values)


def test_a_cell_is_compared_with_itself_in_the_other_run_and_regresses() -> None:
    comparison = compare_runs(FakeResults([FP32, INT8, later(FP32), later(INT8, 1.5)]), "r2", "r1")
    assert [(row.side.at, row.word) for row in comparison.rows] == [("r2", "equivalent"), ("r2", "regressed")]
    assert [reason.kind for reason in comparison.reasons] == [GateKind.REGRESSED]
    assert (comparison.kind, comparison.run, comparison.base) == (Kind.OVER_TIME, "r2", "r1")


def test_a_cell_of_the_other_run_alone_is_missing_with_the_devices_reason() -> None:
    elsewhere = result("fp32", 1.0, device="coral-01")
    reasons = {"coral-01": "coral-01: no route"}
    comparison = compare_runs(FakeResults([FP32, elsewhere, later(FP32)]), "r2", "r1", reasons=reasons)
    assert [(reason.kind, reason.cell) for reason in comparison.reasons] == [
        (GateKind.MISSING, f"coral-01 · fp32 · {TFLITE} · threads=1")
    ]
    assert "coral-01: no route" in comparison.reasons[0].text


def test_a_new_cell_is_no_reason() -> None:
    comparison = compare_runs(FakeResults([FP32, later(FP32), later(INT8)]), "r2", "r1")
    assert comparison.reasons == ()
    assert [row.verdict for row in comparison.rows] == [Verdict.EQUIVALENT, Verdict.NOT_COMPARABLE]


def test_a_setting_called_run_is_spelled_out() -> None:
    cells = [result("fp32", 1.0 * value, settings={"run": value}) for value in (1, 2)]
    assert only_row(compare(FakeResults(cells), "r1", "settings.run", "1")).side.at == 2


def test_a_cell_left_out_for_its_device_fails_and_one_left_out_by_the_sweep_does_not() -> None:
    label = f"int8 · {TFLITE} · threads=1"
    why = "missing: 4 threads on a device of 1 processor"
    pi, coral = FP32, result("fp32", 40_000.0, device="coral-01")
    comparable = [result("fp16", 40_000.0), result("fp16", 40_000.0, device="coral-01")]
    excluded = [
        ExcludedCell("pi-03", label, "4 threads on a device of 1 processor"),
        ExcludedCell("coral-01", label, "exclude rule 1 of the sweep (variant: int8)"),
    ]
    comparison = compare(FakeResults([pi, coral, *comparable], excluded=excluded), "r1", "variant", "fp32")
    assert [(reason.kind, str(reason)) for reason in comparison.reasons] == [
        (
            GateKind.MISSING,
            f"pi-03 · {label}: latency_ns is missing, and the other side has it: {why}",
        )
    ]


@pytest.mark.parametrize(("drop", "kinds"), [(None, [GateKind.LESS_ACCURATE]), (0.1, []), (0.04, [])])
def test_an_accuracy_may_fall_so_far(drop: float | None, kinds: list[GateKind]) -> None:
    sides = [replace(FP32, accuracy=0.98, accuracy_metric="accuracy_top1")]
    sides.append(replace(result("int8", 20_000.0), accuracy=0.94, accuracy_metric="accuracy_top1"))
    comparison = compare(FakeResults(sides), "r1", "variant", "fp32", CompareOptions(terms=GateTerms(drop)))
    assert [reason.kind for reason in comparison.reasons] == kinds


@pytest.mark.parametrize("accuracy", [(None, None), (float("nan"), "accuracy_top1"), (0.99, "accuracy_top5")])
def test_an_accuracy_that_is_no_longer_measured_fails(accuracy: tuple[float | None, str | None]) -> None:
    base = replace(FP32, accuracy=0.98, accuracy_metric="accuracy_top1")
    other = replace(INT8, accuracy=accuracy[0], accuracy_metric=accuracy[1])
    assert len(compare(FakeResults([base, other]), "r1", "variant", "fp32").reasons) == 1


@pytest.mark.parametrize(
    ("parents", "base"),
    [
        ({"fp32": None, "int8": "fp32", "pruned": "fp32"}, "fp32"),
        ({"fp32": None, "int8": "pruned", "pruned": "fp32"}, "fp32"),
        # A parent in between that the run does not measure.
        ({"fp32": None, "int8": "qat", "qat": "fp32", "pruned": "fp32"}, "fp32"),
    ],
)
def test_the_base_is_the_common_parent_unless_named(parents: dict[str, str | None], base: str) -> None:
    cells = [result(name, 1.0) for name in ("int8", "fp32", "pruned")]
    assert compare(FakeResults(cells, parents=parents), "r1", "variant", None).base == base


def test_without_a_common_parent_the_base_must_be_named() -> None:
    results = FakeResults([FP32, INT8], parents={"fp32": None, "int8": None})
    with pytest.raises(ConfigError, match="no common parent among them"):
        compare(results, "r1", "variant", None)
    with pytest.raises(ConfigError, match="compare --by device needs --base"):
        compare(FakeResults([FP32, result("fp32", 1.0, "coral-01")]), "r1", "device", None)
