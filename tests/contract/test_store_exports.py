"""What every database streams for exports: every counted measurement and sample, once, in parts."""

import json
from datetime import timedelta

from orchestrator.domain.export import MEASUREMENTS, SAMPLES
from orchestrator.domain.series_history import Window
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import STARTED_AT, number
from tests.contract.planned_runs import LATENCIES, Planned


def test_measurements_come_once_with_a_value_for_each_column(store: Store, planned: Planned) -> None:
    first, second, *_ = planned.measures
    log = planned.log().finished(first, [LATENCIES, number("load_ns", 3.0)], invalid=["too-hot"])
    log.finished(first, [LATENCIES, number("load_ns", 4.0)], attempt=2).finished(second, [number("load_ns", 5.0)])
    store.logs.ingest([log.arrived()])

    def rows(*, counted_only: bool) -> list[dict[str, object]]:
        parts = store.exports.measurement_rows("run", "pi-03", counted_only=counted_only)
        return [dict(zip(MEASUREMENTS, row, strict=True)) for part in parts for row in part]

    counted = rows(counted_only=True)
    assert [(one["trial"], one["metric"], one["value"], one["ordinal"]) for one in counted] == [
        (first, "latency_ns", counted[0]["p50"], 2),
        (first, "load_ns", 4.0, 2),
        (second, "load_ns", 5.0, 1),
    ]
    assert counted[0]["run_started_at"] == STARTED_AT
    assert json.loads(str(counted[0]["settings"])) == {"threads": 1}
    assert (counted[0]["n"], counted[1]["n"]) == (300, None)
    everything = rows(counted_only=False)
    assert [(one["value"], one["counted"], one["invalid"]) for one in everything if one["metric"] == "load_ns"] == [
        (3.0, False, '["too-hot"]'),
        (4.0, True, "[]"),
        (5.0, True, "[]"),
    ]
    assert [*store.exports.measurement_rows("run", "nano-01", counted_only=True)] == []


def test_samples_come_block_by_block_of_counted_trials_alone(store: Store, planned: Planned) -> None:
    trials = planned.measures
    log = planned.log().finished(trials[0], [LATENCIES], invalid=["too-hot"])
    for trial in trials[1:]:
        log.finished(trial, [LATENCIES])
    store.logs.ingest([log.arrived()])
    blocks = list(store.exports.sample_blocks("run", "pi-03"))
    assert len(blocks) == len(trials) - 1
    for block in blocks:
        same = dict(zip(SAMPLES, block.same, strict=False))
        assert (same["model"], same["metric"], same["unit"], same["batch"]) == ("digits", "latency_ns", "ns", 1)
        assert block.samples.tolist() == list(LATENCIES.samples)
    assert len({block.same[6] for block in blocks}) == len(blocks), "each block is of another attempt"


def test_runs_are_found_by_the_time_in_which_they_began(store: Store, planned: Planned) -> None:
    assert store.exports.runs_within(Window()) == ["run"]
    assert store.exports.runs_within(Window(since=STARTED_AT, until=STARTED_AT + timedelta(seconds=1))) == ["run"]
    assert store.exports.runs_within(Window(until=STARTED_AT)) == []
    assert store.exports.runs_within(Window(since=STARTED_AT + timedelta(seconds=1))) == []
