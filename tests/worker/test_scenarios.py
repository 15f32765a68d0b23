"""Scenarios of MLPerf: how queries come, what their latency is, and the percentiles of its LoadGen."""

import json
import os
import time
from array import array

import pytest

from device_worker.protocol.fields import BadField, Fields
from device_worker.protocol.specification import MeasureRule
from device_worker.trial.measurement import StopRule
from device_worker.trial.scenarios import percentile, poisson_arrivals, run_queries

MS = 1000000


def measure(runs=20, **asked):
    least = {"warmup_runs_min": 0, "warmup_seconds_min": 0.0, "runs_min": runs, "seconds_min": 0.0}
    return MeasureRule(Fields(dict(least, seconds_max=5.0, runs_max=1000, **asked), "measure"))


def run(invoke, rule, seed=7):
    return run_queries(invoke, rule, StopRule.of_measurement(rule), seed)


class Model:
    """Takes as long as told, by the clock."""

    def __init__(self, ns=0):
        self.ns = ns
        self.calls = 0

    def __call__(self):
        self.calls += 1
        until = time.perf_counter_ns() + self.ns
        while time.perf_counter_ns() < until:
            pass


def test_a_query_of_multi_stream_is_of_several_inferences():
    model = Model(MS // 10)
    found = run(model, measure(scenario="multi-stream", streams=4))
    assert (len(found.latencies), len(found.timing.samples), model.calls) == (20, 80, 80)
    assert min(found.latencies) >= 4 * MS // 10
    assert min(found.timing.samples) >= MS // 10
    assert found.percentile()[0] == "mlperf_p99_ns"


def test_single_stream_and_offline_follow_one_another():
    single, offline = (run(Model(MS // 10), measure(scenario=name)) for name in ("single-stream", "offline"))
    assert single.percentile()[0] == "mlperf_p90_ns"
    assert offline.percentile() is None
    taken_s = (offline.timing.end_ns - offline.timing.begin_ns) / 1e9
    assert offline.items_per_s(8) == pytest.approx(8 * 20 / taken_s)
    assert offline.items_per_s(8) <= 8 * 10000


def test_the_latency_of_a_server_begins_with_the_arrival():
    """A model of 2 ms cannot keep up with 1,000 queries a second: each waits for all before."""
    found = run(Model(2 * MS), measure(scenario="server", rate_per_s=1000.0))
    assert found.latencies[-1] > 10 * MS
    assert max(found.timing.samples) < found.latencies[-1]
    idle = run(Model(), measure(runs=5, scenario="server", rate_per_s=200.0))
    assert idle.timing.end_ns - idle.timing.begin_ns > sum(idle.latencies)


def test_arrivals_are_a_poisson_process_and_the_same_for_a_seed():
    at = poisson_arrivals(100.0, 3)
    times = [next(at) for _ in range(4000)]
    gaps = [(after - before) / 1e9 for before, after in zip(times, times[1:])]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.01, rel=0.06)
    # Of an exponential law the deviation is the mean, and 1/e of the gaps are longer than that.
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.03)
    again = poisson_arrivals(100.0, 3)
    assert [next(again) for _ in range(5)] == times[:5]


def test_a_percentile_is_a_latency_that_was_measured():
    assert percentile(array("Q", [5]), 0.99) == 5
    assert percentile(array("Q", range(100, 0, -1)), 0.90) == 91
    assert percentile(array("Q", range(10)), 0.99) == 9


@pytest.mark.parametrize("asked", [{"scenario": "burst"}, {"scenario": "multi-stream", "streams": 0}])
def test_a_scenario_that_there_is_not_is_refused(asked):
    with pytest.raises(BadField, match=r"measure: (scenario|streams)"):
        measure(**asked)


@pytest.mark.timeout(60)
def test_percentiles_are_those_of_loadgen_on_the_same_samples(tmp_path):
    """LoadGen measures, and its trace has each latency; its summary has the percentiles of the same ones."""
    loadgen = pytest.importorskip("mlperf_loadgen")
    model = Model()

    def answer(samples):
        for sample in samples:
            model.ns = (20 + 37 * model.calls % 90) * 1000
            model()
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    settings, logs = loadgen.TestSettings(), loadgen.LogSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
    settings.min_query_count = settings.max_query_count = 300
    settings.min_duration_ms = 1
    logs.enable_trace, logs.log_output.outdir = True, str(tmp_path)
    system = loadgen.ConstructSUT(answer, lambda: None)
    library = loadgen.ConstructQSL(8, 8, lambda _samples: None, lambda _samples: None)
    loadgen.StartTestWithLogSettings(system, library, settings, logs)
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)
    with open(os.path.join(str(tmp_path), "mlperf_log_trace.json")) as file:
        lines = [line.strip().rstrip(",") for line in file if '"complete_ns"' in line]
    latencies = array("Q", [json.loads(line)["args"]["complete_ns"] for line in lines])
    assert len(latencies) == 300
    summary = (tmp_path / "mlperf_log_summary.txt").read_text()
    said = dict(
        line.split(" percentile latency (ns)") for line in summary.splitlines() if "percentile latency (ns)" in line
    )
    for share, name in ((0.50, "50.00"), (0.90, "90.00"), (0.95, "95.00"), (0.97, "97.00"), (0.99, "99.00")):
        assert percentile(latencies, share) == int(said[name].strip(" :"))
