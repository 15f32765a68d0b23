"""What every database keeps of how power was measured: the account, the window, and which source gave which value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from device_worker.protocol.samples import unpack_samples
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.power import NO_ACCOUNT, OWN_SOURCE, UNRECORDED_SOURCE, PowerUse
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import EventLog, number, power_account, power_figure, power_trace
from tests.contract.planned_runs import LATENCIES, Planned, rows

WINDOW = {"begin_mono_ns": 5_000_000_000, "end_mono_ns": 6_100_000_000}
HWMON = "hwmon ina3221 VDD_IN"


def result_of(store: Store, planned: Planned, job: int = 0, metric: str = "energy_mj") -> CellResult:
    variant = planned.plan.jobs[job].variant
    (found,) = (
        one
        for one in store.results.cell_results("run", metric)
        if (one.cell.device, one.cell.variant) == ("pi-03", variant)
    )
    return found


def trials_of(planned: Planned, job: int = 0) -> list[str]:
    key = planned.plan.jobs[job].key
    return [trial.key for trial in planned.plan.trials if trial.job == key and trial.kind is TrialKind.MEASURE]


def measure_energy(log: EventLog, trial: str, source: str, value: float = 3.0, **said: Any) -> EventLog:
    return log.finished(
        trial, [LATENCIES, power_figure("energy_mj", value, source)], power=power_account(source, **said)
    )


class TestTheAccount:
    def test_it_is_kept_with_the_window(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        account = power_account(
            HWMON,
            kind="power-gauge",
            period_s=0.5,
            idle_w=4.25,
            idle_u95_w=0.125,
            idle_before_w=4.0,
            idle_after_w=4.5,
            invoked_ratio=0.97,
            is_estimate=True,
            accuracy_ratio=0.02,
            caution="means",
        )
        log = planned.log().started(trial)
        log.finished(trial, [power_figure("energy_mj", 3.0, HWMON)], window=WINDOW, power=account)
        store.logs.ingest([log.arrived()])
        (kept,) = rows(store, tables.power_account)
        assert {name: value for name, value in kept._mapping.items() if name in account} == account
        assert (kept.clock_offset_ns, kept.clock_uncertainty_ns, kept.idle_windows) == (None, None, None)
        (attempt,) = rows(store, tables.attempt)
        assert attempt.id == kept.attempt_id
        assert (attempt.window_begin_mono_ns, attempt.window_end_mono_ns) == tuple(WINDOW.values())

    def test_all_readings_are_kept_packed(self, store: Store, planned: Planned) -> None:
        watts = [4_000_000, 4_100_000, 5_000_000]
        account = power_account(HWMON, kind="power-gauge", trace=power_trace(watts))
        log = planned.log().finished(planned.measures[0], [LATENCIES], power=account)
        store.logs.ingest([log.arrived()])
        (kept,) = rows(store, tables.power_trace)
        assert (kept.source, kept.kind, kept.begin_mono_ns, kept[4]) == (HWMON, "power-gauge", 1_000, 3)
        values = unpack_samples(kept.values_codec, kept.values_data, kept.values_crc32, 3)
        intervals = unpack_samples(kept.intervals_codec, kept.intervals_data, kept.intervals_crc32, 3)
        assert (list(values), list(intervals)) == (watts, [0, 40_000_000, 40_000_000])

    @pytest.mark.parametrize(
        "wrong",
        [{"values": {"codec": "u32-shuffle-zlib", "count": 1, "crc32": 0, "data": ""}}, {"begin_mono_ns": -1},
         {"intervals_ns": power_trace([1])["values"]}],
        ids=["checksum", "time", "more values than times"],
    )  # fmt: skip
    def test_damaged_readings_fail_the_attempt(
        self, store: Store, planned: Planned, wrong: Mapping[str, object]
    ) -> None:
        account = power_account(trace={**power_trace([0, 5]), **wrong})
        log = planned.log().finished(planned.measures[0], [LATENCIES], power=account)
        store.logs.ingest([log.arrived()])
        (attempt,) = rows(store, tables.attempt)
        assert (attempt.outcome, attempt.failure_kind) == ("failed", "garbage-output")
        assert rows(store, tables.power_trace) == []

    def test_a_device_without_a_source_says_why(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        store.logs.ingest([planned.log().finished(trial, [LATENCIES], power=power_account(None)).arrived()])
        (kept,) = rows(store, tables.power_account)
        assert (kept.source, kept.rate_hz, kept.reason) == (None, None, "the device has no power source")

    def test_old_workers_give_none(self, store: Store, planned: Planned) -> None:
        log = planned.log()
        for trial in planned.measures[:3]:
            log.finished(trial, [LATENCIES])
        log.finished(planned.measures[3], [LATENCIES], power=None, window=None)
        store.logs.ingest([log.arrived()])
        assert rows(store, tables.power_account) == []
        assert {row.window_end_mono_ns for row in rows(store, tables.attempt)} == {None}

    @pytest.mark.parametrize(
        "window",
        [{}, {"begin_mono_ns": 1}, {"begin_mono_ns": 1.5, "end_mono_ns": 2}, {"begin_mono_ns": 2, "end_mono_ns": 1},
         {"begin_mono_ns": "now", "end_mono_ns": True}, {"begin_mono_ns": 0, "end_mono_ns": 2**80}],
    )  # fmt: skip
    def test_a_window_that_is_none_costs_nothing_else(
        self, store: Store, planned: Planned, window: Mapping[str, object]
    ) -> None:
        trial = planned.measures[0]
        store.logs.ingest([planned.log().finished(trial, [LATENCIES], window=window).arrived()])
        (attempt,) = rows(store, tables.attempt)
        assert (attempt.outcome, attempt.window_begin_mono_ns, attempt.window_end_mono_ns) == ("ok", None, None)

    def test_hostile_words_are_cleaned_and_cut(self, store: Store, planned: Planned) -> None:
        said = power_account("ra\x1b[2Jpl" + "x" * 500, reason="no\u202e" + "y" * 5_000)
        store.logs.ingest([planned.log().finished(planned.measures[0], [LATENCIES], power=said).arrived()])
        (kept,) = rows(store, tables.power_account)
        assert kept.source.startswith("ra[2Jplxxx")
        assert (len(kept.source), len(kept.reason)) == (200, 2000)


class TestSources:
    def test_a_value_has_its_source_and_a_latency_has_none(self, store: Store, planned: Planned) -> None:
        log = planned.log()
        for trial in trials_of(planned):
            measure_energy(log, trial, "rapl")
        store.logs.ingest([log.arrived()])
        assert result_of(store, planned).sources == ("rapl",)
        assert result_of(store, planned, metric="latency_ns").sources == ()
        sources = {row.metric: row.source for row in rows(store, tables.measurement)}
        assert sources == {"latency_ns": None, "energy_mj": "rapl"}

    def test_what_a_program_measures_of_itself_is_not_the_sources(self, store: Store, planned: Planned) -> None:
        first, second, _third = trials_of(planned)
        log = planned.log().finished(first, [LATENCIES, number("energy_mj", 7.0)], power=power_account("rapl"))
        store.logs.ingest([measure_energy(log, second, "rapl").arrived()])
        assert result_of(store, planned).sources == (OWN_SOURCE, "rapl")

    def test_an_older_workers_account_stands_for_its_metrics(self, store: Store, planned: Planned) -> None:
        """Before metrics said their source, the account was all that told it."""
        old = {"source": "rapl", "samples": 30, "rate_hz": 25.0, "idle_w": 4.0, "overhead_cpu_ns": 9, "reason": None}
        log = planned.log().finished(trials_of(planned)[0], [LATENCIES, number("energy_mj", 7.0)], power=old)
        store.logs.ingest([log.arrived()])
        assert result_of(store, planned).sources == ("rapl",)
        assert {row.metric: row.source for row in rows(store, tables.measurement)}["latency_ns"] is None

    def test_an_older_account_without_a_figure_leaves_the_programs_own_value(
        self, store: Store, planned: Planned
    ) -> None:
        old = {"source": HWMON, "samples": 1, "overhead_cpu_ns": 9, "reason": "the window holds 1 readings"}
        log = planned.log().finished(trials_of(planned)[0], [LATENCIES, number("energy_mj", 3.0)], power=old)
        store.logs.ingest([log.arrived()])
        assert {row.metric: row.source for row in rows(store, tables.measurement)}["energy_mj"] is None
        assert result_of(store, planned).sources == (OWN_SOURCE,)

    def test_a_value_without_any_account_is_not_on_record(self, store: Store, planned: Planned) -> None:
        log = planned.log().finished(trials_of(planned)[0], [LATENCIES, number("energy_mj", 7.0)])
        store.logs.ingest([log.arrived()])
        assert result_of(store, planned).sources == (UNRECORDED_SOURCE,)

    def test_where_there_is_no_value_the_worker_said_why(self, store: Store, planned: Planned) -> None:
        first, second, third = trials_of(planned)
        log = planned.log().finished(first, [LATENCIES], power=power_account(None))
        partial = power_account(energy_reason="idle power was not measured")
        log.finished(second, [LATENCIES, power_figure("power_mean_w", 4.0)], power=partial)
        store.logs.ingest([log.finished(third, [LATENCIES]).arrived()])
        energy, power = result_of(store, planned), result_of(store, planned, metric="power_mean_w")
        assert energy.without_metric == 3
        assert energy.unmeasured == ("the device has no power source", "idle power was not measured", NO_ACCOUNT)
        assert power.unmeasured == ("the device has no power source", NO_ACCOUNT)
        assert result_of(store, planned, metric="rss_bytes_max").unmeasured == ()

    def test_a_caution_comes_with_the_value(self, store: Store, planned: Planned) -> None:
        log = measure_energy(planned.log(), trials_of(planned)[0], HWMON, caution="few readings")
        store.logs.ingest([log.arrived()])
        assert result_of(store, planned).cautions == ("few readings",)
        assert result_of(store, planned, metric="latency_ns").cautions == ()


class TestWhatRunsShow:
    def test_trials_with_the_same_account_are_one_line(self, store: Store, planned: Planned) -> None:
        first, second, third = trials_of(planned)
        log = measure_energy(planned.log(), first, "rapl", rate_hz=24.0, idle_w=4.0)
        log.started(second).finished(second, [LATENCIES], invalid=["too-hot"], power=power_account("rapl"))
        measure_energy(log, second, "rapl", rate_hz=26.0, idle_w=4.0)
        store.logs.ingest([log.finished(third, [LATENCIES], power=power_account(None)).arrived()])
        measured, unmeasured = store.power.power_uses("run")
        assert measured.overhead_ratio == pytest.approx(0.001)
        assert replace(measured, overhead_ratio=None) == PowerUse("pi-03", "rapl", "energy-counter", 2, 25.0, 4.0, None)
        assert (unmeasured.source, unmeasured.trials, unmeasured.reason) == (None, 1, "the device has no power source")
        assert store.power.power_uses("no-run") == []


class TestViews:
    def test_every_counted_attempt_with_an_account_is_a_row(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().finished(trial, [LATENCIES], window=WINDOW, power=power_account(None))
        store.logs.ingest([log.arrived()])
        with store.database.read() as connection:
            (row,) = connection.execute(text("SELECT * FROM v_power")).all()
        assert (row.device, row.trial, row.source, row.reason) == (
            "pi-03", trial, None, "the device has no power source"
        )  # fmt: skip
        assert row.window_ns == 1_100_000_000

    @pytest.mark.parametrize(
        ("sources", "expected"),
        [
            (("rapl", "rapl"), ("rapl", "rapl", 2.0)),
            (("rapl", HWMON), (HWMON, "rapl", None)),
            (("rapl", "rapl hwmon"), ("several", "rapl", None)),
        ],
        ids=["one source", "two sources", "two in one cell"],
    )
    def test_figures_of_two_sources_have_no_ratio(
        self, store: Store, planned: Planned, sources: tuple[str, str], expected: tuple[object, ...]
    ) -> None:
        log = planned.log()
        for job, source, value in zip((0, 1), sources, (3.0, 6.0), strict=True):
            names = source.split() if source == "rapl hwmon" else [source]
            for trial, name in zip(trials_of(planned, job), names * 2, strict=False):
                measure_energy(log, trial, name, value)
        store.logs.ingest([log.arrived()])
        with store.database.read() as connection:
            rows_ = connection.execute(
                text("SELECT metric, source, base_source, ratio_to_base FROM v_variant_compare WHERE variant = 'int8'")
            ).all()
        found = {metric: rest for metric, *rest in rows_}
        assert tuple(found["energy_mj"]) == expected
        assert tuple(found["latency_ns"]) == (None, None, 1.0)
