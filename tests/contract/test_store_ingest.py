"""What every database must make of event logs: each record once, whatever the way did to it; nonsense never."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from device_worker.protocol.records import encode_record
from device_worker.protocol.vocabulary import Failure, Invalid, RunOutcome
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import DevicePlan, TrialKind
from orchestrator.domain.run import DeviceRunState, Offset, RunState, TrialState
from orchestrator.domain.sweep import Retries
from orchestrator.store import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    outputs,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.databases import content

PI, NANO = sample_device("pi-03"), sample_device("nano-01")
LATENCIES = Sampled("latency_ns", [41_000 + 7 * (i % 97) for i in range(300)])
Rows = Sequence[Any]


@dataclass(frozen=True)
class Planned:
    """A run whose devices have their plans."""

    plan: DevicePlan
    other: DevicePlan

    @property
    def preflights(self) -> list[str]:
        return [trial.key for trial in self.plan.trials if trial.kind is TrialKind.PREFLIGHT]

    @property
    def measures(self) -> list[str]:
        return [trial.key for trial in self.plan.trials if trial.kind is TrialKind.MEASURE]

    def log(self, log_id: str = "log-1") -> EventLog:
        return EventLog("run", self.plan, log_id)


@pytest.fixture
def planned(store: Store) -> Planned:
    return plan_run(store)


def plan_run(store: Store, **sweep_options: Any) -> Planned:
    model, sweep = sample_model(), sample_sweep(**sweep_options)
    store.create_run(sample_header("run", sweep, model), model, [PI, NANO])
    plans = [sample_plan(device, sweep, model) for device in (PI, NANO)]
    for device, plan in zip((PI, NANO), plans, strict=True):
        snapshot = save_snapshot(store, device, Facts(FACTS), STARTED_AT)
        save_plan(store, "run", plan, snapshot, WORKER_SHA256)
    return Planned(*plans)


def rows(store: Store, table: Any, **where: object) -> Rows:
    statement = select(table).filter_by(**where).order_by(*table.primary_key)
    with store.database.read() as connection:
        return connection.execute(statement).all()


def states(store: Store, device: str = "pi-03") -> dict[TrialState, int]:
    record = store.find_run("run")
    assert record is not None
    return next(dict(part.trials) for part in record.devices if part.device == device)


def refused(store: Store, arrived: RecordsArrived) -> str:
    with pytest.raises(CorruptLog) as raised:
        store.ingest([arrived])
    assert raised.value.device == "pi-03"
    return raised.value.message


class TestExactlyOnce:
    def test_records_that_come_again_change_nothing(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0]).finished(planned.measures[0], [LATENCIES])
        store.ingest([log.arrived()])
        before = content(store)
        for first in range(1, 5):
            (again,) = store.ingest([log.arrived(first)])
            assert again.offset == Offset("log-1", 4)
            assert again.changes == ()
        assert content(store) == before

    def test_overlapping_pieces_join(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0]).finished(planned.measures[0], [LATENCIES])
        store.ingest([log.arrived(1, 3)])
        (result,) = store.ingest([log.arrived(2, 4)])
        assert result.offset == Offset("log-1", 4)
        assert [change.state for change in result.changes] == [TrialState.MEASURED]

    def test_pieces_of_one_log_may_come_in_one_batch(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0])
        (result,) = store.ingest([log.arrived(1, 1), log.arrived(2, 2), log.arrived(2, 3)])
        assert result.offset == store.offset("run", "pi-03") == Offset("log-1", 3)

    def test_a_gap_is_refused(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().started(planned.measures[0])
        store.ingest([log.arrived(1, 1)])
        assert "record 2 cannot be stored: record 3 arrived instead" in refused(store, log.arrived(3))
        assert store.offset("run", "pi-03") == Offset("log-1", 1)

    def test_a_device_that_lost_its_log_begins_another(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        store.ingest([planned.log().runner_started().started(trial).arrived()])
        (result,) = store.ingest([planned.log("log-2").started(trial).finished(trial, [LATENCIES]).arrived()])
        assert result.offset == store.offset("run", "pi-03") == Offset("log-2", 3)
        attempts = rows(store, tables.attempt)
        assert [(row.ordinal, row.log_id, row.outcome, row.counted) for row in attempts] == [
            (1, "log-1", None, False),
            (2, "log-2", "ok", True),
        ]

    def test_records_of_the_old_log_are_still_known(self, store: Store, planned: Planned) -> None:
        old, new = planned.log().runner_started(), planned.log("log-2").runner_started()
        store.ingest([old.arrived()])
        store.ingest([new.arrived()])
        before = content(store)
        store.ingest([old.arrived()])
        assert content(store) == before

    def test_a_new_log_that_does_not_begin_at_one_is_refused(self, store: Store, planned: Planned) -> None:
        store.ingest([planned.log().arrived()])
        assert "record 1 cannot be stored" in refused(store, planned.log("log-2").runner_started().arrived(2))
        assert store.offset("run", "pi-03") == Offset("log-1", 1)

    def test_an_empty_batch_is_no_work(self, store: Store) -> None:
        assert list(store.ingest([])) == []

    def test_no_log_has_no_offset(self, store: Store, planned: Planned) -> None:
        assert store.offset("run", "pi-03") == Offset(None, 0)
        assert store.offset("no-run", "no-device") == Offset(None, 0)


class TestOneDeviceDoesNotHarmAnother:
    def test_what_precedes_nonsense_is_kept_and_the_others_wait(self, store: Store, planned: Planned) -> None:
        bad = planned.log().runner_started().append("trial-started", trial="x", job="y", attempt=1)
        good = EventLog("run", planned.other).runner_started()
        assert "record 3 cannot be stored: the plan has no trial x" in refused_in(
            store, [bad.arrived(), good.arrived()]
        )
        assert store.offset("run", "pi-03") == Offset("log-1", 2)
        assert store.offset("run", "nano-01") == Offset(None, 0)
        (result,) = store.ingest([good.arrived()])
        assert result.device == "nano-01"
        assert result.offset == Offset("log-1", 2)

    def test_the_same_trial_keys_on_two_devices_are_two_trials(self, store: Store, planned: Planned) -> None:
        logs = [EventLog("run", plan).started(plan.trials[0].key) for plan in (planned.plan, planned.other)]
        results = store.ingest([log.arrived() for log in logs])
        assert {result.device for result in results} == {"pi-03", "nano-01"}
        assert states(store, "pi-03")[TrialState.RUNNING] == states(store, "nano-01")[TrialState.RUNNING] == 1


def refused_in(store: Store, batch: Sequence[RecordsArrived]) -> str:
    with pytest.raises(CorruptLog) as raised:
        store.ingest(batch)
    return raised.value.message


class TestHostileLogs:
    @pytest.mark.parametrize("damage", [b"x", b"\x00", b'"'])
    def test_one_altered_byte_is_noticed(self, store: Store, planned: Planned, damage: bytes) -> None:
        log = planned.log().runner_started()
        lines = log.lines[1]
        altered = replace(log.arrived(2), lines=lines[:40] + damage + lines[41:])
        store.ingest([log.arrived(1, 1)])
        assert "record 2 cannot be stored" in refused(store, altered)

    def test_a_torn_tail_is_noticed(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started()
        arrived = log.arrived()
        assert "record 2" in refused(store, replace(arrived, lines=arrived.lines[:-10]))
        assert store.offset("run", "pi-03") == Offset("log-1", 1)
        store.ingest([log.arrived(2)])
        assert store.offset("run", "pi-03") == Offset("log-1", 2)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"run": "another"}, "device pi-03 in run another"),
            ({"device": "nano-01"}, "device nano-01"),
            ({"log_id": "log-9"}, "it is the log of"),
            ({"plan_sha256": "0" * 64}, "it follows plan 000000000000"),
            ({"protocol": 99}, "speaks protocol 99"),
            ({"protocol": "1"}, "protocol is not"),
            ({"worker_sha256": None}, "worker_sha256"),
        ],
    )
    def test_another_log_is_refused(
        self, store: Store, planned: Planned, changes: dict[str, object], reason: str
    ) -> None:
        opened = json.loads(planned.log().lines[0].split(b" ", 2)[2])
        lines = encode_record({**opened, **changes})
        assert reason in refused(store, RecordsArrived("pi-03", "run", "log-1", 1, 1, lines))
        assert store.offset("run", "pi-03") == Offset(None, 0)

    def test_a_log_that_opens_twice_is_refused(self, store: Store, planned: Planned) -> None:
        log = planned.log()
        opened = json.loads(log.lines[0].split(b" ", 2)[2])
        opened.pop("seq")
        log.append(opened.pop("kind"), **opened)
        assert "record 2 cannot be stored: a log begins with log-opened" in refused(store, log.arrived())

    def test_a_log_that_does_not_open_is_refused(self, store: Store, planned: Planned) -> None:
        line = encode_record({"seq": 1, "kind": "runner-started", "at_unix_ns": 0, "at_mono_ns": 0})
        assert "log begins with" in refused(store, RecordsArrived("pi-03", "run", "log-1", 1, 1, line))

    @pytest.mark.parametrize(("run", "device"), [("no-run", "pi-03"), ("run", "stranger")])
    def test_a_log_of_nobody_is_refused(self, store: Store, planned: Planned, run: str, device: str) -> None:
        log = EventLog(run, replace(planned.plan, device=device))
        with pytest.raises(CorruptLog, match=f"{device}: .*no device of this name"):
            store.ingest([log.arrived()])

    @pytest.mark.parametrize("log_id", ["", "a\nb", "x" * 300])
    def test_a_log_without_a_name_is_refused(self, store: Store, planned: Planned, log_id: str) -> None:
        assert "id is not a name" in refused(store, planned.log(log_id).arrived())

    def test_unknown_kinds_and_fields_only_move_the_offset(self, store: Store, planned: Planned) -> None:
        log = planned.log().append("thermal-report", zones=[1, 2]).append("runner-started", mood="good", skip=0)
        store.ingest([log.arrived()])
        assert store.offset("run", "pi-03") == Offset("log-1", 3)

    def test_text_is_cleaned_and_cut(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().failed(trial, "load-error", "bad\x00 \x1b[31mop\ud800\u202e" + "x" * 5000)
        (result,) = store.ingest([log.arrived()])
        (attempt,) = rows(store, tables.attempt)
        assert attempt.failure_message.startswith("bad [31mopxxx")
        assert len(attempt.failure_message) == 2000
        assert attempt.failure_stderr_tail == "Traceback"
        assert result.changes[0].failure == f"load-error: {attempt.failure_message}"

    def test_a_clock_from_nowhere_is_unknown(self, store: Store, planned: Planned) -> None:
        log = planned.log().finished(planned.measures[0])
        event = json.loads(log.lines[1].split(b" ", 2)[2]) | {"at_unix_ns": 10**30}
        log.lines[1] = encode_record(event)
        store.ingest([log.arrived()])
        (attempt,) = rows(store, tables.attempt)
        assert attempt.finished_at is None


class TestTrialStates:
    def test_a_measured_trial(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).finished(trial, [LATENCIES, number("rss_bytes_max", 13_631_488)])
        (result,) = store.ingest([log.arrived()])
        began, ended = result.changes
        assert (began.state, began.kind, began.temperature_c) == (TrialState.RUNNING, "measure", 48.5)
        assert (ended.state, ended.p50_ns, ended.temperature_c, ended.failure) == (
            TrialState.MEASURED,
            np.median(LATENCIES.samples),
            52.0,
            None,
        )
        (attempt,) = rows(store, tables.attempt)
        assert (attempt.ordinal, attempt.started_seq, attempt.finished_seq, attempt.counted) == (1, 2, 3, True)
        assert (attempt.outcome, attempt.invalid, attempt.duration_ns) == ("ok", [], 1_500_000_000)
        assert attempt.conditions_after["temperature_c"] == 52.0
        assert attempt.runtime_reported["kernels"] == "xnnpack"
        assert attempt.finished_at - attempt.started_at == STARTED_AT.resolution * 1_000_000

    def test_conditions_of_the_start_survive_an_ending_without_them(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).finished(trial, conditions_before=None)
        store.ingest([log.arrived(1, 2)])
        store.ingest([log.arrived(3)])
        (attempt,) = rows(store, tables.attempt)
        assert attempt.conditions_before["temperature_c"] == 48.5

    def test_the_first_good_attempt_counts_for_good(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log()
        log.started(trial).failed(trial)
        log.started(trial, 2).finished(trial, [number("latency_ns", 10)], attempt=2, invalid=[Invalid.TOO_HOT])
        log.started(trial, 3).finished(trial, [number("latency_ns", 20)], attempt=3)
        log.started(trial, 4).finished(trial, [number("latency_ns", 30)], attempt=4)
        log.finished(trial, [number("latency_ns", 40)], attempt=4)
        log.started(trial, 5).failed(trial, attempt=5)
        log.skipped(trial)
        store.ingest([log.arrived()])
        attempts = rows(store, tables.attempt)
        assert [(row.ordinal, row.outcome, row.counted) for row in attempts] == [
            (1, "failed", False),
            (2, "ok", False),
            (3, "ok", True),
            (4, "ok", False),
            (5, "ok", False),
            (6, "failed", False),
        ]
        assert states(store)[TrialState.MEASURED] == 1
        assert [cell.trial_values for cell in store.cell_results("run", "latency_ns")].count((20.0,)) == 1

    @pytest.mark.parametrize("cut", range(2, 8))
    def test_retries_over_a_cut_are_numbered_on(self, store: Store, planned: Planned, cut: int) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).failed(trial).started(trial, 2).finished(trial, [LATENCIES], attempt=2)
        log.run_finished().runner_started()
        store.ingest([log.arrived(1, cut)])
        store.ingest([log.arrived(cut)])
        assert [(row.ordinal, row.log_attempt) for row in rows(store, tables.attempt)] == [(1, 1), (2, 2)]

    def test_an_interrupted_attempt_stays_open(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).runner_started().started(trial, 2)
        store.ingest([log.arrived()])
        assert states(store)[TrialState.RUNNING] == 1
        store.ingest([log.finished(trial, [LATENCIES], attempt=2).arrived()])
        assert [(row.outcome, row.counted) for row in rows(store, tables.attempt)] == [(None, False), ("ok", True)]

    def test_skipped_trials_say_why_and_may_be_measured_later(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().skipped(trial, "its preflight failed: no such op")
        (result,) = store.ingest([log.arrived()])
        assert (result.changes[0].state, result.changes[0].failure) == (
            TrialState.SKIPPED,
            "its preflight failed: no such op",
        )
        (row,) = rows(store, tables.trial, key=trial, state="skipped")
        assert row.skip_reason == "its preflight failed: no such op"
        store.ingest([log.finished(trial, [LATENCIES]).arrived()])
        (row,) = rows(store, tables.trial, key=trial, state="measured")
        assert row.skip_reason is None

    def test_many_records_at_once(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log()
        for attempt in range(1, 601):
            log.started(trial, attempt).failed(trial, attempt=attempt)
        store.ingest([log.arrived()])
        assert store.offset("run", "pi-03") == Offset("log-1", 1201)
        assert [row.ordinal for row in rows(store, tables.attempt)] == list(range(1, 601))


class TestDeviceStates:
    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (RunOutcome.COMPLETE, DeviceRunState.COMPLETE),
            (RunOutcome.CANCELLED, DeviceRunState.CANCELLED),
            (RunOutcome.DISK_FULL, DeviceRunState.STOPPED),
        ],
    )
    def test_the_log_says_how_its_runner_ended(
        self, store: Store, planned: Planned, outcome: str, state: DeviceRunState
    ) -> None:
        store.ingest([planned.log().runner_started().run_finished(outcome).arrived()])
        record = store.find_run("run")
        assert record is not None
        device = record.devices[0]
        assert device.state is state
        assert (device.error is not None) == (state is DeviceRunState.STOPPED)
        assert record.finished_at is None

    def test_a_runner_that_begins_again_runs(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().run_finished(RunOutcome.DISK_FULL).runner_started()
        store.ingest([log.arrived()])
        record = store.find_run("run")
        assert record is not None
        assert (record.devices[0].state, record.devices[0].error) == (DeviceRunState.RUNNING, None)

    def test_a_run_ends_with_its_last_device(self, store: Store, planned: Planned) -> None:
        logs = [EventLog("run", plan) for plan in (planned.plan, planned.other)]
        for log, plan in zip(logs, (planned.plan, planned.other), strict=True):
            for trial in plan.trials:
                log.finished(trial.key, [LATENCIES])
            log.run_finished()
        store.ingest([logs[0].arrived()])
        record = store.find_run("run")
        assert record is not None
        assert record.state is RunState.ACTIVE
        store.ingest([logs[1].arrived()])
        record = store.find_run("run")
        assert record is not None
        assert record.state is RunState.COMPLETE
        assert record.finished_at is not None

    def test_a_complete_run_with_a_failed_trial_is_incomplete(self, store: Store, planned: Planned) -> None:
        for plan in (planned.plan, planned.other):
            log = EventLog("run", plan)
            for trial in plan.trials[:-1]:
                log.finished(trial.key, [LATENCIES])
            store.ingest([log.failed(plan.trials[-1].key).run_finished().arrived()])
        record = store.find_run("run")
        assert record is not None
        assert record.state is RunState.INCOMPLETE

    def test_a_rejected_cell_does_not_make_a_run_incomplete(self, store: Store, planned: Planned) -> None:
        for plan in (planned.plan, planned.other):
            log = EventLog("run", plan)
            rejected = plan.jobs[0].key
            for trial in plan.trials:
                if trial.job != rejected:
                    log.finished(trial.key, [LATENCIES])
                elif trial.kind is TrialKind.PREFLIGHT:
                    log.failed(trial.key)
                else:
                    log.skipped(trial.key)
            store.ingest([log.run_finished().arrived()])
        record = store.find_run("run")
        assert record is not None
        assert record.state is RunState.COMPLETE


class TestNumbers:
    def test_a_sampled_metric(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        samples = np.random.default_rng(3).lognormal(np.log(42_000), 0.03, 5000).astype(np.uint32)
        sampled = Sampled("latency_ns", samples.tolist(), batch=10)
        store.ingest([planned.log().finished(trial, [sampled]).arrived()])
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
        loaded = store.load_samples(row.attempt_id, "latency_ns")
        assert loaded is not None
        assert np.array_equal(loaded, samples)

    @pytest.mark.parametrize("n", [1, 5, 6, 28, 29, 298, 299, 2994, 2995])
    def test_percentiles_are_withheld_where_samples_are_few(self, store: Store, planned: Planned, n: int) -> None:
        sampled = Sampled("latency_ns", list(range(1, n + 1)))
        store.ingest([planned.log().finished(planned.measures[0], [sampled]).arrived()])
        (row,) = rows(store, tables.measurement)
        assert row.value == (n + 1) / 2
        for name, least in {"p50": 6, "p90": 29, "p99": 299, "p99_9": 2995}.items():
            for column in (name, f"{name}_ci_low", f"{name}_ci_high"):
                assert (row._mapping[column] is None) == (n < least), (column, n)
        assert (row.sd is None) == (n < 2)

    def test_one_number(self, store: Store, planned: Planned) -> None:
        store.ingest([planned.log().finished(planned.measures[0], [number("energy_mj", 12.5)]).arrived()])
        (row,) = rows(store, tables.measurement)
        assert (row.metric, row.unit, row.value) == ("energy_mj", "mj", 12.5)
        assert {row._mapping[name] for name in ("n", "batch", "p50", "mean", "sd", "min")} == {None}
        assert rows(store, tables.sample_block) == []

    def test_what_was_not_measured_has_no_row(self, store: Store, planned: Planned) -> None:
        metrics: list[Sampled | Mapping[str, Any]] = [
            Sampled("latency_ns", []),
            {"name": "energy_mj", "value": None},
            number("load_ns", 0),
        ]
        store.ingest([planned.log().finished(planned.measures[0], metrics).arrived()])
        assert [(row.metric, row.value) for row in rows(store, tables.measurement)] == [("load_ns", 0.0)]

    def test_long_samples(self, store: Store, planned: Planned) -> None:
        samples = [2**40, 2**62, 2**63 - 1, 5]
        store.ingest([planned.log().finished(planned.measures[0], [Sampled("latency_ns", samples)]).arrived()])
        (row,) = rows(store, tables.sample_block)
        assert row.codec == "u64-shuffle-zlib"
        loaded = store.load_samples(row.attempt_id, "latency_ns")
        assert loaded is not None
        assert loaded.tolist() == samples

    def test_every_number_knows_what_it_was_measured_with(self, store: Store, planned: Planned) -> None:
        first, second, third = planned.measures[:3]
        newer = {"name": "tflite-runtime", "version": "2.15.0"}
        log = planned.log().finished(first, [LATENCIES]).finished(second, [LATENCIES])
        store.ingest([log.finished(third, [LATENCIES], runtime=newer).arrived()])
        measurements = rows(store, tables.measurement)
        assert {row.worker_sha256 for row in measurements} == {WORKER_SHA256}
        variants = {variant.sha256 for variant in sample_model().variants.values()}
        assert {row.model_sha256 for row in measurements} <= variants
        same, also_same, other = (row.runtime_sha256 for row in measurements)
        assert same == also_same != other

    def test_outputs_of_a_preflight(self, store: Store, planned: Planned) -> None:
        trial = planned.preflights[0]
        computed = outputs([[0.1, 0.9], [0.8, 0.2]])
        store.ingest([planned.log().finished(trial, [number("accuracy_top1", 0.97)], outputs=computed).arrived()])
        (row,) = rows(store, tables.preflight_output)
        assert (row.values_per_output, row.inputs, row.top1) == (2, "dataset", [1, 0])
        (found,) = store.cell_outputs("run")
        assert found.count == 2
        assert np.frombuffer(found.data, "<f4") == pytest.approx([0.1, 0.9, 0.8, 0.2])

    def test_samples_that_are_not_there(self, store: Store) -> None:
        assert store.load_samples(1, "latency_ns") is None


class TestWhatIsLeft:
    def test_done_and_missing_trials(self, store: Store) -> None:
        planned = plan_run(store, retries=Retries(failed=1, invalid=1))
        ok, failed, failed_twice, invalid, invalid_twice, skipped = planned.measures
        good, bad = planned.preflights
        log = planned.log().runner_started()
        log.finished(good).failed(bad).failed(bad, attempt=2).finished(ok, [LATENCIES])
        log.failed(failed).failed(failed_twice).failed(failed_twice, "timeout", "after 120 s\nmore", attempt=2)
        log.finished(invalid, invalid=[Invalid.THROTTLED])
        log.finished(invalid_twice, invalid=[Invalid.TOO_HOT])
        log.finished(invalid_twice, attempt=2, invalid=[Invalid.TOO_HOT, Invalid.THROTTLED])
        store.ingest([log.skipped(skipped, "its preflight failed").arrived()])

        done = store.done_trials("run", "pi-03", retry_failed=False)
        assert set(done) == {good, bad, ok, failed_twice, invalid_twice, skipped}
        assert set(store.done_trials("run", "pi-03", retry_failed=True)) == {good, ok}

        missing = {trial.trial: trial for trial in store.missing_trials("run") if trial.device == "pi-03"}
        assert {key: trial.state for key, trial in missing.items()} == {
            failed: TrialState.FAILED,
            failed_twice: TrialState.FAILED,
            invalid: TrialState.INVALID,
            invalid_twice: TrialState.INVALID,
            skipped: TrialState.SKIPPED,
        }
        assert missing[failed_twice].reason == "timeout: after 120 s"
        assert missing[invalid_twice].reason == "too-hot, throttled"
        assert missing[skipped].reason == "its preflight failed"

    def test_a_rejected_preflight_is_done_only_with_the_last_trial_of_its_job(self, store: Store) -> None:
        """A device that is to skip what is left of the job must fail the preflight again, to know that it has to."""
        planned = plan_run(store, retries=Retries(failed=0, invalid=0))
        good, bad = planned.preflights
        job = next(trial.job for trial in planned.plan.trials if trial.key == bad)
        first, *others = [trial.key for trial in planned.plan.trials if trial.job == job and trial.key != bad]
        log = planned.log().runner_started().finished(good).failed(bad).skipped(first)
        store.ingest([log.arrived()])
        assert set(store.done_trials("run", "pi-03", retry_failed=False)) == {good, first}

        before = log.last_seq
        for trial in others:
            log.skipped(trial)
        store.ingest([log.arrived(before + 1)])
        assert set(store.done_trials("run", "pi-03", retry_failed=False)) == {good, bad, first, *others}

    def test_trials_without_any_record_say_why(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        store.ingest([planned.log().runner_started().started(trial).arrived()])
        store.set_device_state("run", "nano-01", DeviceRunState.FAILED, "host key changed")
        missing = store.missing_trials("run")
        assert [one.trial for one in missing if one.device == "pi-03"] == planned.measures
        assert {one.reason for one in missing if one.device == "nano-01"} == {"host key changed"}
        assert {one.reason for one in missing if one.device == "pi-03"} == {"running", "not run"}
        store.set_device_state("run", "pi-03", DeviceRunState.STOPPED)
        reasons = {one.trial: one.reason for one in store.missing_trials("run") if one.device == "pi-03"}
        assert reasons[trial] == "interrupted"

    def test_a_cancelled_trial_is_not_done(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).failed(trial, Failure.CANCELLED, "cancelled by the controller")
        store.ingest([log.run_finished(RunOutcome.CANCELLED).arrived()])
        assert store.done_trials("run", "pi-03", retry_failed=False) == []
        (left,) = (one for one in store.missing_trials("run") if (one.device, one.trial) == ("pi-03", trial))
        assert (left.state, left.reason) == (TrialState.PLANNED, "not run")

    def test_an_invalid_preflight_is_never_done(self, store: Store, planned: Planned) -> None:
        trial = planned.preflights[0]
        log = planned.log()
        for attempt in (1, 2, 3):
            log.finished(trial, attempt=attempt, invalid=[Invalid.TOO_HOT])
        store.ingest([log.arrived()])
        assert store.done_trials("run", "pi-03", retry_failed=False) == []

    def test_nobody_has_nothing_done_or_missing(self, store: Store) -> None:
        assert store.done_trials("no-run", "pi-03", retry_failed=False) == []
        assert store.missing_trials("no-run") == []


class TestCellResults:
    def test_one_row_per_job_and_one_value_per_counted_trial(self, store: Store, planned: Planned) -> None:
        log = planned.log()
        good, bad = planned.plan.jobs
        values = iter((10.0, 20.0, 30.0))
        for trial in planned.plan.trials:
            if trial.job == bad.key and trial.kind is TrialKind.PREFLIGHT:
                log.failed(trial.key, "load-error", "no such op")
            elif trial.job == bad.key:
                log.skipped(trial.key)
            elif trial.kind is TrialKind.PREFLIGHT:
                log.finished(trial.key, [number("accuracy_top1", 0.97), number("load_ns", 5)])
            else:
                log.finished(trial.key, [number("latency_ns", next(values)), number("load_ns", 7)])
        store.ingest([log.arrived()])
        results = {result.cell.variant: result for result in store.cell_results("run", "latency_ns")
                   if result.cell.device == "pi-03"}  # fmt: skip
        assert results[good.variant].trial_values == (10.0, 20.0, 30.0)
        assert results[good.variant].accuracy == 0.97
        assert results[good.variant].cell.settings == {"threads": 1}
        assert results[good.variant].size_bytes is not None
        assert results[good.variant].rejected is None
        rejected = results[bad.variant]
        assert (rejected.trial_values, rejected.rejected) == ((), "load-error: no such op")
        assert (rejected.invalid, rejected.failed, rejected.missing) == (0, 0, 0)
        loads = store.cell_results("run", "load_ns")
        assert loads[0].trial_values == (7.0, 7.0, 7.0)
        accuracies = store.cell_results("run", "accuracy_top1")
        assert (accuracies[0].trial_values, accuracies[0].without_metric) == ((0.97,), 0)

    def test_trials_without_a_value_are_counted_by_why(self, store: Store, planned: Planned) -> None:
        job = planned.plan.jobs[0].key
        first, second, third = (
            trial.key for trial in planned.plan.trials if trial.job == job and trial.kind is TrialKind.MEASURE
        )
        log = planned.log().failed(first).finished(second, invalid=["too-hot"]).finished(third, [number("load_ns", 1)])
        store.ingest([log.arrived()])
        result = store.cell_results("run", "latency_ns")[0]
        assert (result.failed, result.invalid, result.without_metric, result.trial_values) == (1, 1, 1, ())
        assert result.missing == 0

    def test_no_run_has_no_cells(self, store: Store) -> None:
        assert store.cell_results("no-run", "latency_ns") == []
        assert store.cell_outputs("no-run") == []
