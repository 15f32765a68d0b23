"""Every metric of agreement: registered with a direction, perfect for equal outputs, worse for worse ones."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import pytest

from orchestrator.agreement.argmax import Argmax
from orchestrator.agreement.base import AgreementMetric, NoFigure, NoMeaning, OutputPair
from orchestrator.agreement.cosine import Cosine
from orchestrator.agreement.max_abs import MaxAbs
from orchestrator.agreement.outputs import METRICS, agreement
from orchestrator.domain.comparison import Tolerance
from orchestrator.domain.measurement import Cell, CellOutputs, OutputPart
from orchestrator.domain.metric import ABOUT, Direction, is_registered, metric_named

TOLERANCE = Tolerance(1e-3, 0.0)
PERFECT = {"agreement_max_abs": 0.0}
EACH = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def pair(base: object, other: object) -> OutputPair:
    return OutputPair(np.asarray(base, float), np.asarray(other, float), TOLERANCE)


@EACH
def test_a_metric_is_registered_and_perfect_for_equal_outputs(metric: AgreementMetric) -> None:
    assert is_registered(metric.name)
    assert metric.name in ABOUT
    same = [[1.0, 2.0, 3.0], [4.0, 0.0, -1.0]]
    assert metric.of(pair(same, same)) == pytest.approx(PERFECT.get(metric.name, 1.0))


@EACH
def test_worse_outputs_have_a_worse_value_and_the_worse_of_two_is_taken(metric: AgreementMetric) -> None:
    base = [[1.0, 2.0], [4.0, 0.0]]
    near, far = metric.of(pair(base, base)), metric.of(pair(base, [[3.0, 2.0], [0.0, 4.0]]))
    is_lower_better = metric_named(metric.name).direction is Direction.LOWER
    assert (near < far) is is_lower_better
    assert metric.worst(near, far) == metric.worst(far, near) == far


def test_argmax_of_a_map_is_pixel_by_pixel_and_of_one_value_means_nothing() -> None:
    base = np.zeros((1, 2, 2, 3))
    other = base.copy()
    other[0, 0, 0, 2] = 1.0
    assert Argmax().of(pair(base, other)) == 0.75
    with pytest.raises(NoMeaning, match="one value for each place"):
        Argmax().of(pair([[1.0]], [[2.0]]))


def test_what_has_no_distance_or_direction_has_no_figure() -> None:
    assert MaxAbs().of(pair([[math.inf]], [[math.inf]])) == 0.0
    with pytest.raises(NoFigure, match="infinite on one side"):
        MaxAbs().of(pair([[math.inf]], [[1.0]]))
    with pytest.raises(NoFigure, match="for 1 of 2 inputs all values are 0"):
        Cosine().of(pair([[0.0, 0.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]))
    assert Cosine().of(pair([[1e38, 1e38]], [[1e38, 1e38]])) == pytest.approx(1.0)


def kept(order: Sequence[str], rows: Sequence[Sequence[float]]) -> CellOutputs:
    shapes = {"boxes": (1, 4), "scores": (1, 2)}
    flat = [value for row in rows for value in row]
    layout = tuple(OutputPart(name, shapes[name]) for name in order)
    data = struct.pack(f"<{len(flat)}f", *flat)
    return CellOutputs(Cell("r", "d", "m", "v", "t", {}), len(rows), len(rows[0]), data, "random", None, layout)


def test_of_several_outputs_in_any_order_the_worst_decides() -> None:
    base = kept(["boxes", "scores"], [[100.0, 200.0, 300.0, 400.0, 0.25, 0.75]])
    other = kept(["scores", "boxes"], [[0.75, 0.25, 100.0, 200.0, 300.0, 402.0]])
    found = agreement(base, other, TOLERANCE)
    assert found.figures["agreement_max_abs"] == pytest.approx(2.0)
    assert found.figures["agreement_argmax"] == 0.0, "the scores, not the boxes"
    assert found.figures["agreement_cosine"] == pytest.approx(0.6), "the scores, not the boxes"
    assert found.figures["agreement_within_tolerance"] == 0.0
    assert found.absent == {}


def test_an_output_of_one_value_leaves_the_choice_to_the_others() -> None:
    one = CellOutputs(Cell("r", "d", "m", "v", "t", {}), 1, 1, struct.pack("<f", 2.0), "random")
    found = agreement(one, one, TOLERANCE)
    assert "agreement_argmax" not in found.figures
    assert found.absent["agreement_argmax"].startswith("the output has one value")
