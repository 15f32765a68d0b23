"""Two profiles side by side, kind by kind."""

from __future__ import annotations

import pytest

from orchestrator.domain.operator_profile import CellProfile, OperatorTime, pair_profiles


def profile(cell: str, *operators: OperatorTime) -> CellProfile:
    return CellProfile("run", "pi-03", cell, operators)


def one(operator: str, name: str, mean_ns: float, share: float, calls: int = 20, runs: int = 20) -> OperatorTime:
    return OperatorTime(1, operator, name, "CPU", calls, runs, mean_ns, share)


FP32 = profile("fp32", one("Conv", "c1", 600.0, 0.6), one("Conv", "c2", 200.0, 0.2), one("Gemm", "d", 200.0, 0.2))
INT8 = profile("int8", one("QLinearConv", "c1_q", 300.0, 0.75), one("Gemm", "d", 50.0, 0.25, calls=40))


def test_kinds_are_summed_and_paired() -> None:
    kinds = {pair.operator: pair for pair in pair_profiles(FP32, INT8).kinds}
    assert list(kinds) == ["Conv", "QLinearConv", "Gemm"]
    conv, gemm = kinds["Conv"], kinds["Gemm"]
    assert conv.base is not None
    assert (conv.base.operators, conv.base.inference_ns, conv.other, conv.ratio) == (2, 800.0, None, None)
    assert conv.base.share == pytest.approx(0.8)
    assert kinds["QLinearConv"].base is None
    assert gemm.ratio == pytest.approx(0.5)  # twice a run, a quarter of the time each


def test_a_kind_below_the_clock_has_no_ratio() -> None:
    (pair,) = pair_profiles(profile("a", one("Relu", "r", 0.0, 0.0)), profile("b", one("Relu", "r", 5.0, 1.0))).kinds
    assert pair.ratio is None


def test_totals_and_places() -> None:
    assert (FP32.total_ns, FP32.runs, FP32.placed) == (1000.0, 20, {"CPU": 3})
    assert (profile("none").total_ns, profile("none").runs, profile("none").placed) == (None, None, {})
