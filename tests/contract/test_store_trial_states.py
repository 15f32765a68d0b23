"""What every database must make of event logs: how trials, devices and runs stand."""

import numpy as np
import pytest

from device_worker.protocol.vocabulary import RunOutcome
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, Offset, RunState, TrialState
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import STARTED_AT, EventLog, number
from tests.contract.planned_runs import LATENCIES, Planned, plan_run, rows, states


class TestTrialStates:
    def test_a_measured_trial(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).finished(trial, [LATENCIES, number("rss_bytes_max", 13_631_488)])
        (result,) = store.logs.ingest([log.arrived()])
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
        store.logs.ingest([log.arrived(1, 2)])
        store.logs.ingest([log.arrived(3)])
        (attempt,) = rows(store, tables.attempt)
        assert attempt.conditions_before["temperature_c"] == 48.5

    def test_the_first_good_attempt_counts_for_good(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log()
        log.started(trial).failed(trial)
        log.started(trial, 2).finished(trial, [number("latency_ns", 10)], attempt=2, invalid=["too-hot"])
        log.started(trial, 3).finished(trial, [number("latency_ns", 20)], attempt=3)
        log.started(trial, 4).finished(trial, [number("latency_ns", 30)], attempt=4)
        log.finished(trial, [number("latency_ns", 40)], attempt=4)
        log.started(trial, 5).failed(trial, attempt=5)
        log.skipped(trial)
        store.logs.ingest([log.arrived()])
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
        assert [cell.trial_values for cell in store.results.cell_results("run", "latency_ns")].count((20.0,)) == 1

    @pytest.mark.parametrize("cut", range(2, 8))
    def test_retries_over_a_cut_are_numbered_on(self, store: Store, planned: Planned, cut: int) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).failed(trial).started(trial, 2).finished(trial, [LATENCIES], attempt=2)
        log.run_finished().runner_started()
        store.logs.ingest([log.arrived(1, cut)])
        store.logs.ingest([log.arrived(cut)])
        assert [(row.ordinal, row.log_attempt) for row in rows(store, tables.attempt)] == [(1, 1), (2, 2)]

    def test_an_interrupted_attempt_stays_open(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).runner_started().started(trial, 2)
        store.logs.ingest([log.arrived()])
        assert states(store)[TrialState.RUNNING] == 1
        store.logs.ingest([log.finished(trial, [LATENCIES], attempt=2).arrived()])
        assert [(row.outcome, row.counted) for row in rows(store, tables.attempt)] == [(None, False), ("ok", True)]

    def test_skipped_trials_say_why_and_may_be_measured_later(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().skipped(trial, "its preflight failed: no such op")
        (result,) = store.logs.ingest([log.arrived()])
        assert (result.changes[0].state, result.changes[0].failure) == (
            TrialState.SKIPPED,
            "its preflight failed: no such op",
        )
        (row,) = rows(store, tables.trial, key=trial, state="skipped")
        assert row.skip_reason == "its preflight failed: no such op"
        store.logs.ingest([log.finished(trial, [LATENCIES]).arrived()])
        (row,) = rows(store, tables.trial, key=trial, state="measured")
        assert row.skip_reason is None

    def test_many_records_at_once(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log()
        for attempt in range(1, 601):
            log.started(trial, attempt).failed(trial, attempt=attempt)
        store.logs.ingest([log.arrived()])
        assert store.logs.offset("run", "pi-03") == Offset("log-1", 1201)
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
        store.logs.ingest([planned.log().runner_started().run_finished(outcome).arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        device = record.devices[0]
        assert device.state is state
        assert (device.error is not None) == (state is DeviceRunState.STOPPED)
        assert record.finished_at is None

    def test_how_a_log_ended_is_kept_until_it_goes_on(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().run_finished(RunOutcome.DISK_FULL)
        store.logs.ingest([log.arrived()])
        assert [row.outcome for row in rows(store, tables.event_offset)] == ["disk-full"]
        ended = log.last_seq
        store.logs.ingest([log.runner_started().arrived(ended + 1)])
        assert [row.outcome for row in rows(store, tables.event_offset)] == [None]
        trial = planned.measures[0]
        log.started(trial).finished(trial, [LATENCIES]).run_finished()
        store.logs.ingest([log.arrived(ended + 2, log.last_seq - 1)])
        assert [row.outcome for row in rows(store, tables.event_offset)] == [None]
        store.logs.ingest([log.arrived(log.last_seq)])
        store.logs.ingest([log.append("comet-sighted").arrived(log.last_seq)])
        assert [row.outcome for row in rows(store, tables.event_offset)] == ["complete"]

    def test_a_runner_that_begins_again_runs(self, store: Store, planned: Planned) -> None:
        log = planned.log().runner_started().run_finished(RunOutcome.DISK_FULL).runner_started()
        store.logs.ingest([log.arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        assert (record.devices[0].state, record.devices[0].error) == (DeviceRunState.RUNNING, None)

    def test_a_run_ends_with_its_last_device(self, store: Store, planned: Planned) -> None:
        logs = [EventLog("run", plan) for plan in (planned.plan, planned.other)]
        for log, plan in zip(logs, (planned.plan, planned.other), strict=True):
            for trial in plan.trials:
                log.finished(trial.key, [LATENCIES])
            log.run_finished()
        store.logs.ingest([logs[0].arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        assert record.state is RunState.ACTIVE
        store.logs.ingest([logs[1].arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        assert record.state is RunState.COMPLETE
        assert record.finished_at is not None

    def test_a_complete_run_with_a_failed_trial_is_incomplete(self, store: Store, planned: Planned) -> None:
        for plan in (planned.plan, planned.other):
            log = EventLog("run", plan)
            for trial in plan.trials[:-1]:
                log.finished(trial.key, [LATENCIES])
            store.logs.ingest([log.failed(plan.trials[-1].key).run_finished().arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        assert record.state is RunState.INCOMPLETE

    def test_a_rejected_cell_leaves_a_run_incomplete(self, store: Store, planned: Planned) -> None:
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
            store.logs.ingest([log.run_finished().arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        assert record.state is RunState.INCOMPLETE

    def test_a_run_whose_rest_was_spared_is_complete_and_says_what_that_saved(self, store: Store) -> None:
        planned = plan_run(store, trials=6)
        cell = [trial for trial in planned.plan.trials if trial.kind is TrialKind.MEASURE]
        job = cell[0].job
        kept = [trial.key for trial in cell if trial.job != job or trial.index <= 4]
        spared = [trial.key for trial in cell if trial.job == job and trial.index > 4]
        log = planned.log()
        for trial in (*planned.preflights, *kept):
            log.started(trial).finished(trial, [LATENCIES])
        for trial in spared:
            log.spared(trial)
        store.logs.ingest([log.run_finished().arrived()])
        other = EventLog("run", planned.other, "log-2")
        for one in planned.other.trials:
            other.started(one.key).finished(one.key, [LATENCIES])
        store.logs.ingest([other.run_finished().arrived()])
        record = store.runs.find_run("run")
        assert record is not None
        assert record.state is RunState.COMPLETE
        assert store.progress.missing_trials("run") == []
        assert set(spared) <= set(store.progress.done_trials("run", planned.plan.device, retry_failed=True))
        (found,) = store.progress.spared_cells("run")
        assert (found.device, found.measured, found.spared) == (planned.plan.device, 4, 2)
        assert found.saved_s == pytest.approx(2 * 1.5)
        assert found.reason.startswith("stop rule: 7 trials agree")
        assert all(result.missing == 0 for result in store.results.cell_results("run", "latency_ns"))
