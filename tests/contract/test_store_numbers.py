"""What every database must make of event logs: samples, summaries and outputs."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import WORKER_SHA256, Sampled, number, outputs, sample_model
from tests.contract.planned_runs import LATENCIES, Planned, rows


class TestNumbers:
    def test_a_sampled_metric(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        samples = np.random.default_rng(3).lognormal(np.log(42_000), 0.03, 5000).astype(np.uint32)
        sampled = Sampled("latency_ns", samples.tolist(), batch=10)
        store.logs.ingest([planned.log().finished(trial, [sampled]).arrived()])
        (row,) = rows(store, tables.measurement)
        assert (row.unit, row.n, row.batch) == ("ns", 5000, 10)
        expected = np.percentile(samples, [50, 90, 99, 99.9])
        assert [row.p50, row.p90, row.p99, row.p99_9] == pytest.approx(list(expected))
        assert row.value == row.p50
        assert row.p99_9_ci_low <= row.p99_9 <= row.p99_9_ci_high
        assert (row.mean, row.sd) == pytest.approx((samples.mean(), samples.std(ddof=1)))
        assert row.mad == np.median(np.abs(samples - row.p50))
        assert (row.min, row.max) == (samples.min(), samples.max())
        (block,) = rows(store, tables.sample_block)
        report = sampled.report()["samples"]
        assert block.data == base64.b64decode(report["data"])
        assert (block.codec, block.batch, block.crc32) == (report["codec"], 10, report["crc32"])
        histogram = rows(store, tables.sample_hist)
        assert sum(bin_.count for bin_ in histogram) == 5000
        assert all(bin_.bin_low < bin_.bin_high for bin_ in histogram)
        loaded = store.results.load_samples(row.attempt_id, "latency_ns")
        assert loaded is not None
        assert np.array_equal(loaded, samples)

    @pytest.mark.parametrize("n", [1, 5, 6, 28, 29, 298, 299, 2994, 2995])
    def test_percentiles_are_withheld_where_samples_are_few(self, store: Store, planned: Planned, n: int) -> None:
        sampled = Sampled("latency_ns", list(range(1, n + 1)))
        store.logs.ingest([planned.log().finished(planned.measures[0], [sampled]).arrived()])
        (row,) = rows(store, tables.measurement)
        assert row.value == (n + 1) / 2
        for name, least in {"p50": 6, "p90": 29, "p99": 299, "p99_9": 2995}.items():
            for column in (name, f"{name}_ci_low", f"{name}_ci_high"):
                assert (row._mapping[column] is None) == (n < least), (column, n)
        assert (row.sd is None) == (n < 2)

    def test_one_number(self, store: Store, planned: Planned) -> None:
        store.logs.ingest([planned.log().finished(planned.measures[0], [number("energy_mj", 12.5)]).arrived()])
        (row,) = rows(store, tables.measurement)
        assert (row.metric, row.unit, row.value) == ("energy_mj", "mj", 12.5)
        assert {row._mapping[name] for name in ("n", "batch", "p50", "mean", "sd", "min")} == {None}
        assert rows(store, tables.sample_block) == []

    @pytest.mark.parametrize("deliveries", [1, 2])
    def test_a_cell_of_numbers_whose_sum_is_too_large_has_a_value(
        self, store: Store, planned: Planned, deliveries: int
    ) -> None:
        job = planned.plan.jobs[0].key
        first, second = [trial.key for trial in planned.plan.trials if trial.job == job and trial.index][:2]
        log = planned.log().finished(first, [number("load_ns", 1.5e308)])
        log.finished(second, [number("load_ns", 1.7e308)])
        for seq in (2, 3)[-deliveries:]:
            store.logs.ingest([log.arrived(1, seq)])
        (cell,) = rows(store, tables.cell_value)
        assert (cell.trials, cell.value, cell.value_min, cell.value_max) == (2, 1.6e308, 1.5e308, 1.7e308)

    def test_what_was_not_measured_has_no_row(self, store: Store, planned: Planned) -> None:
        metrics: list[Sampled | Mapping[str, Any]] = [
            Sampled("latency_ns", []),
            {"name": "energy_mj", "value": None},
            number("load_ns", 0),
        ]
        store.logs.ingest([planned.log().finished(planned.measures[0], metrics).arrived()])
        assert [(row.metric, row.value) for row in rows(store, tables.measurement)] == [("load_ns", 0.0)]

    def test_long_samples(self, store: Store, planned: Planned) -> None:
        samples = [2**40, 2**62, 2**63 - 1, 5]
        store.logs.ingest([planned.log().finished(planned.measures[0], [Sampled("latency_ns", samples)]).arrived()])
        (row,) = rows(store, tables.sample_block)
        assert row.codec == "u64-shuffle-zlib"
        loaded = store.results.load_samples(row.attempt_id, "latency_ns")
        assert loaded is not None
        assert loaded.tolist() == samples

    def test_every_number_knows_what_it_was_measured_with(self, store: Store, planned: Planned) -> None:
        first, second, third = planned.measures[:3]
        newer = {"name": "tflite-runtime", "version": "2.15.0"}
        log = planned.log().finished(first, [LATENCIES]).finished(second, [LATENCIES])
        store.logs.ingest([log.finished(third, [LATENCIES], runtime=newer).arrived()])
        measurements = rows(store, tables.measurement)
        assert {row.worker_sha256 for row in measurements} == {WORKER_SHA256}
        variants = {variant.artifacts[0].sha256 for variant in sample_model().variants.values()}
        assert {row.model_sha256 for row in measurements} <= variants
        same, also_same, other = (row.runtime_sha256 for row in measurements)
        assert same == also_same != other

    def test_outputs_of_a_preflight(self, store: Store, planned: Planned) -> None:
        trial = planned.preflights[0]
        computed = outputs([[0.1, 0.9], [0.8, 0.2]])
        store.logs.ingest([planned.log().finished(trial, [number("accuracy_top1", 0.97)], outputs=computed).arrived()])
        (row,) = rows(store, tables.preflight_output)
        assert (row.values_per_output, row.inputs, row.top1) == (2, "dataset", [1, 0])
        (found,) = store.results.cell_outputs("run")
        assert found.count == 2
        assert np.frombuffer(found.data, "<f4") == pytest.approx([0.1, 0.9, 0.8, 0.2])

    def test_samples_that_are_not_there(self, store: Store) -> None:
        assert store.results.load_samples(1, "latency_ns") is None
