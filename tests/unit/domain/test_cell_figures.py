"""Every metric of a cell over its counted trials, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.domain.cell_details import AttemptDetails, Summary
from orchestrator.domain.cell_figures import cell_figures
from orchestrator.domain.metric import Direction, Unit
from orchestrator.domain.run import TrialState


def attempt(
    index: int, values: Mapping[str, float], absent: Mapping[str, str] | None = None, counted: bool = True
) -> AttemptDetails:
    summaries = {
        name: Summary(name, value, None, None, None, None, None, None, None, None) for name, value in values.items()
    }
    return AttemptDetails(
        id=index,
        trial=f"abc.{index}",
        kind="measure" if index else "preflight",
        trial_index=index,
        trial_state=TrialState.MEASURED,
        ordinal=1,
        outcome="ok",
        counted=counted,
        invalid=(),
        failure=None,
        stderr=None,
        started_at=None,
        finished_at=None,
        duration_ns=None,
        before={},
        after={},
        exclusive=True,
        runtime={},
        metrics=summaries,
        power=None,
        absent=absent or {},
    )


def test_values_are_medians_over_counted_measure_trials() -> None:
    figures = cell_figures(
        [
            attempt(0, {"load_ns": 900.0, "accuracy_top1": 0.97}),
            attempt(1, {"load_ns": 10.0}),
            attempt(2, {"load_ns": 30.0}),
            attempt(3, {"load_ns": 20.0}),
            attempt(4, {"load_ns": 1.0}, counted=False),
        ]
    )
    load, accuracy = figures
    assert (load.metric.name, load.kind, load.trials) == ("load_ns", "measure", 3)
    assert (load.value, load.lowest, load.highest, load.reason) == (20.0, 10.0, 30.0, None)
    assert (load.metric.unit, load.metric.direction) == (Unit.NANOSECONDS, Direction.LOWER)
    assert (accuracy.metric.name, accuracy.kind, accuracy.value) == ("accuracy_top1", "preflight", 0.97)


def test_a_metric_without_a_value_has_its_reason() -> None:
    (figure,) = cell_figures([attempt(1, {}, {"allocate_ns": "in one step"}), attempt(2, {})])
    assert (figure.value, figure.lowest, figure.trials, figure.reason) == (None, None, 0, "in one step")


def test_a_reason_beside_values_is_no_reason() -> None:
    (figure,) = cell_figures([attempt(1, {"import_ns": 5.0}), attempt(2, {}, {"import_ns": "no clock"})])
    assert (figure.value, figure.trials, figure.reason) == (5.0, 1, None)


def test_registered_metrics_come_first_in_their_order() -> None:
    figures = cell_figures([attempt(1, {"aaa": 1.0, "rss_bytes_max": 1.0, "latency_ns": 1.0})])
    assert [one.metric.name for one in figures] == ["latency_ns", "rss_bytes_max", "aaa"]
