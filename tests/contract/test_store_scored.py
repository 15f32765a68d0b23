"""What a metric of the user's says of stored outputs, beside what a device said of its trials."""

from __future__ import annotations

import numpy as np

from orchestrator.domain.scored import Score
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import number, outputs
from tests.contract.planned_runs import Planned, rows


def test_scores_stand_beside_the_worker_s_own_metric_and_replace_each_other(store: Store, planned: Planned) -> None:
    said = [number("accuracy_top1", 0.5), number("rss_bytes_max", 1e6)]
    log = planned.log()
    for trial in planned.preflights:
        log.finished(trial, said, outputs=outputs([[0.0, 1.0], [3.0, 2.0]]))
    store.logs.ingest([log.arrived()])
    kept = store.scored.kept_outputs("run")
    assert len(kept) == len(planned.preflights)
    first = kept[0]
    assert (first.device, first.count, first.values_per_output, first.parts) == ("pi-03", 2, 2, ())
    assert np.frombuffer(first.data, "<f4").tolist() == [0.0, 1.0, 3.0, 2.0]

    name, sha256 = "accuracy_f1", "a" * 64
    store.scored.write_scores([Score(first.attempt, name, 0.25, None, (0.0, 0.5), sha256)])
    store.scored.write_scores([Score(first.attempt, name, 0.75, None, (0.5, 1.0), sha256)])
    (row,) = rows(store, tables.measurement, metric=name)
    assert (row.value, row.unit) == (0.75, "ratio")
    (cell,) = rows(store, tables.cell_value, metric=name)
    assert (cell.value, cell.kind) == (0.75, "preflight")
    (by_input,) = rows(store, tables.input_result)
    assert (by_input.metric, by_input.count) == (name, 2)
    assert np.frombuffer(by_input.data, "<f4").tolist() == [0.5, 1.0]
    found = {one.accuracy_metric for one in store.results.cell_results("run", "latency_ns") if one.accuracy}
    assert found == {"accuracy_top1"}, "a later metric does not take the place of the worker's"

    store.scored.write_scores([Score(first.attempt, name, None, "f1.py: it said nan")])
    assert rows(store, tables.measurement, metric=name) == []
    assert rows(store, tables.cell_value, metric=name) == []
    (absent,) = rows(store, tables.absent_metric, metric=name)
    assert absent.reason == "f1.py: it said nan"
    assert store.scored.kept_outputs("another") == []


def test_a_score_of_an_error_is_better_when_lower(store: Store, planned: Planned) -> None:
    log = planned.log().finished(planned.preflights[0], [number("rss_bytes_max", 1e6)], outputs=outputs([[0.0]]))
    store.logs.ingest([log.arrived()])
    (kept,) = store.scored.kept_outputs("run")
    store.scored.write_scores([Score(kept.attempt, "accuracy_angle_error", 3.5)])
    (found,) = (one for one in store.results.cell_results("run", "latency_ns") if one.accuracy is not None)
    assert (found.accuracy, found.accuracy_metric) == (3.5, "accuracy_angle_error")
