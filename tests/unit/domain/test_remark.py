from __future__ import annotations

import pytest

from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.remark import RemarkKind, implausibly_fast

PARENTS = {("digits", "fp32"): None, ("digits", "int8"): "fp32"}


def cell(variant: str, *values: float, runtime: str = "tflite==1", threads: int = 1) -> CellResult:
    found = Cell("run", "pi-03", "digits", variant, runtime, {"threads": threads})
    return CellResult(found, "latency_ns", values, 0, 0, 0, None, None, None)


def test_a_variant_a_hundred_times_faster_than_its_parent_gets_a_named_remark() -> None:
    results = [cell("fp32", 540_000.0, 537_000.0), cell("int8", 536.0, 537.0)]
    (remark,) = implausibly_fast(results, PARENTS)
    assert (remark.device, remark.label, remark.kind) == (
        "pi-03",
        "int8 · tflite==1 · threads=1",
        RemarkKind.IMPLAUSIBLY_FAST,
    )
    assert remark.text.startswith("1004 times faster than fp32: ")


@pytest.mark.parametrize(
    "others",
    [
        [cell("int8", 5_410.0)],
        [cell("int8", 10.0, runtime="other==1")],
        [cell("int8", 10.0, threads=2)],
        [cell("int8")],
        [cell("fp16", 10.0)],
    ],
)
def test_less_than_that_or_another_setting_or_no_parent_is_no_reason(others: list[CellResult]) -> None:
    assert not list(implausibly_fast([cell("fp32", 540_000.0), *others], PARENTS))
