"""Every metric of accuracy: known to worker and controller alike, right for right outputs, worse for worse ones."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from device_worker.trial.accuracy import KEPT_OUTPUTS
from device_worker.trial.accuracy import METRICS as WORKERS_METRICS
from device_worker.trial.accuracy.base import BITS, FLOATS, AccuracyMetric, Unprovable
from device_worker.trial.proof import Proof
from orchestrator.domain.metric import ABOUT, Direction, Unit, is_accuracy, is_registered, metric_named
from orchestrator.specs.sweep_schema import AccuracySection

RANKED = [[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]]


@dataclass(frozen=True)
class Case:
    """A label with an output that is as right as can be, and one that is worse."""

    label: Any
    right: Any
    worse: Any


CASES = {
    "top1": Case(0, RANKED, [RANKED[0][::-1]]),
    "top5": Case(4, RANKED, [[0.9, 0.8, 0.7, 0.6, 0.0, 0.5, 0.3]]),
    "mean_iou": Case([0, 1, 1], np.eye(2)[[0, 1, 1]], np.eye(2)[[0, 0, 1]]),
    "mean_absolute_error": Case([1.0, 2.0], [[1.0, 2.0]], [[1.0, 4.0]]),
}
EACH = pytest.mark.parametrize("metric", WORKERS_METRICS.values(), ids=WORKERS_METRICS)


def score(metric: AccuracyMetric, output: Any, label: Any) -> float:
    return metric.score(np.asarray(output, "float32"), label)


def test_sweeps_may_name_what_the_worker_computes_and_nothing_else() -> None:
    allowed = typing.get_args(AccuracySection.model_fields["metric"].annotation)
    assert set(allowed) == {*WORKERS_METRICS, KEPT_OUTPUTS}
    assert set(CASES) == set(WORKERS_METRICS)
    assert all(name == metric.name for name, metric in WORKERS_METRICS.items())


@EACH
def test_a_metric_is_registered_with_a_direction(metric: AccuracyMetric) -> None:
    name = f"accuracy_{metric.name}"
    assert is_accuracy(name)
    assert is_registered(name)
    assert name in ABOUT
    assert metric_named(name).direction is not Direction.NONE
    assert metric_named(name).unit in (Unit.RATIO, Unit.NUMBER)


@EACH
def test_worse_outputs_have_a_worse_score_in_the_registered_direction(metric: AccuracyMetric) -> None:
    case, name = CASES[metric.name], f"accuracy_{metric.name}"
    right, worse = score(metric, case.right, case.label), score(metric, case.worse, case.label)
    assert math.isfinite(right)
    assert math.isfinite(worse)
    if metric_named(name).direction is Direction.HIGHER:
        assert (right, 0 <= worse < 1) == (1.0, True)
    else:
        assert (right, worse > 0) == (0.0, True)


@EACH
def test_scores_are_kept_by_input_and_their_mean_is_the_figure(metric: AccuracyMetric) -> None:
    case, proof = CASES[metric.name], Proof(metric.name)
    for output in (case.right, case.worse, case.right):
        proof.add([("y", np.asarray(output, "float32"))], case.label)
    right, worse = score(metric, case.right, case.label), score(metric, case.worse, case.label)
    assert proof.accuracy() == pytest.approx((2 * right + worse) / 3)
    results = proof.to_input_results()
    assert results is not None
    assert (results["metric"], results["count"]) == (f"accuracy_{metric.name}", 3)
    assert results["encoding"] == metric.encoding
    assert metric.encoding in (BITS, FLOATS)
    if metric.encoding == BITS:
        assert {right, worse} <= {0.0, 1.0}


@EACH
def test_an_output_of_nan_is_never_right(metric: AccuracyMetric) -> None:
    case = CASES[metric.name]
    spoiled = np.full_like(np.asarray(case.right, "float32"), np.nan)
    if metric.encoding == BITS:
        assert score(metric, spoiled, case.label) == 0.0
    else:  # no number says how wrong it is
        with pytest.raises(Unprovable, match="NaN"):
            score(metric, spoiled, case.label)


@EACH
def test_a_label_that_does_not_fit_is_told(metric: AccuracyMetric) -> None:
    with pytest.raises(Unprovable):
        score(metric, CASES[metric.name].right, np.zeros(5))
