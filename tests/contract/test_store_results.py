"""What every database knows of a run: what is done or missing, and what each cell has measured."""

import pytest

from device_worker.protocol.vocabulary import FailureKind, RunOutcome
from orchestrator.domain.input_results import InputEncoding
from orchestrator.domain.measurement import OutputPart
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.power import NO_ACCOUNT
from orchestrator.domain.remark import RemarkKind
from orchestrator.domain.run import DeviceRunState, TrialState
from orchestrator.domain.sweep import Retries
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import Sampled, input_results, number, outputs
from tests.contract.planned_runs import LATENCIES, Planned, plan_run

NO_OUTPUTS = {"count": 0, "values_per_output": 0, "dtype": "f4", "data": "", "inputs": "random", "top1": []}
RIGHT = input_results([True, False, True])


class TestWhatIsLeft:
    def test_done_and_missing_trials(self, store: Store) -> None:
        planned = plan_run(store, retries=Retries(failed=1, invalid=1))
        ok, failed, failed_twice, invalid, invalid_twice, skipped = planned.measures
        good, bad = planned.preflights
        log = planned.log().runner_started()
        log.finished(good).failed(bad).failed(bad, attempt=2).finished(ok, [LATENCIES])
        log.failed(failed).failed(failed_twice).failed(failed_twice, "timeout", "after 120 s\nmore", attempt=2)
        log.finished(invalid, invalid=["throttled"])
        log.finished(invalid_twice, invalid=["too-hot"])
        log.finished(invalid_twice, attempt=2, invalid=["too-hot", "throttled"])
        store.logs.ingest([log.skipped(skipped, "its preflight failed").arrived()])

        done = store.progress.done_trials("run", "pi-03", retry_failed=False)
        assert set(done) == {good, bad, ok, failed_twice, invalid_twice, skipped}
        assert set(store.progress.done_trials("run", "pi-03", retry_failed=True)) == {good, ok}

        missing = {trial.trial: trial for trial in store.progress.missing_trials("run") if trial.device == "pi-03"}
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
        store.logs.ingest([log.arrived()])
        assert set(store.progress.done_trials("run", "pi-03", retry_failed=False)) == {good, first}

        before = log.last_seq
        for trial in others:
            log.skipped(trial)
        store.logs.ingest([log.arrived(before + 1)])
        assert set(store.progress.done_trials("run", "pi-03", retry_failed=False)) == {good, bad, first, *others}

    def test_trials_without_any_record_say_why(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        store.logs.ingest([planned.log().runner_started().started(trial).arrived()])
        store.runs.set_device_state("run", "nano-01", DeviceRunState.FAILED, "host key changed")
        missing = store.progress.missing_trials("run")
        assert [one.trial for one in missing if one.device == "pi-03"] == planned.measures
        assert {one.reason for one in missing if one.device == "nano-01"} == {"host key changed"}
        assert {one.reason for one in missing if one.device == "pi-03"} == {"running", "not run"}
        store.runs.set_device_state("run", "pi-03", DeviceRunState.STOPPED)
        reasons = {one.trial: one.reason for one in store.progress.missing_trials("run") if one.device == "pi-03"}
        assert reasons[trial] == "interrupted"

    def test_a_cancelled_trial_is_not_done(self, store: Store, planned: Planned) -> None:
        trial = planned.measures[0]
        log = planned.log().started(trial).failed(trial, FailureKind.CANCELLED, "cancelled by the controller")
        store.logs.ingest([log.run_finished(RunOutcome.CANCELLED).arrived()])
        assert store.progress.done_trials("run", "pi-03", retry_failed=False) == []
        (left,) = (one for one in store.progress.missing_trials("run") if (one.device, one.trial) == ("pi-03", trial))
        assert (left.state, left.reason) == (TrialState.PLANNED, "not run")

    def test_an_invalid_preflight_is_never_done(self, store: Store, planned: Planned) -> None:
        trial = planned.preflights[0]
        log = planned.log()
        for attempt in (1, 2, 3):
            log.finished(trial, attempt=attempt, invalid=["too-hot"])
        store.logs.ingest([log.arrived()])
        assert store.progress.done_trials("run", "pi-03", retry_failed=False) == []

    def test_nobody_has_nothing_done_or_missing(self, store: Store) -> None:
        assert store.progress.done_trials("no-run", "pi-03", retry_failed=False) == []
        assert store.progress.missing_trials("no-run") == []


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
        store.logs.ingest([log.arrived()])
        results = {result.cell.variant: result for result in store.results.cell_results("run", "latency_ns")
                   if result.cell.device == "pi-03"}  # fmt: skip
        assert results[good.variant].trial_values == (10.0, 20.0, 30.0)
        assert results[good.variant].accuracy == 0.97
        assert results[good.variant].cell.settings == {"threads": 1}
        assert results[good.variant].size_bytes is not None
        assert results[good.variant].rejected is None
        rejected = results[bad.variant]
        assert (rejected.trial_values, rejected.rejected) == ((), "load-error: no such op")
        assert (rejected.invalid, rejected.failed, rejected.missing) == (0, 0, 0)
        loads = store.results.cell_results("run", "load_ns")
        assert loads[0].trial_values == (7.0, 7.0, 7.0)
        accuracies = store.results.cell_results("run", "accuracy_top1")
        assert (accuracies[0].trial_values, accuracies[0].without_metric) == ((0.97,), 0)

    def test_trials_without_a_value_are_counted_by_why(self, store: Store, planned: Planned) -> None:
        job = planned.plan.jobs[0].key
        first, second, third = (
            trial.key for trial in planned.plan.trials if trial.job == job and trial.kind is TrialKind.MEASURE
        )
        log = planned.log().failed(first).finished(second, invalid=["too-hot"]).finished(third, [number("load_ns", 1)])
        store.logs.ingest([log.arrived()])
        result = store.results.cell_results("run", "latency_ns")[0]
        assert (result.failed, result.invalid, result.without_metric, result.trial_values) == (1, 1, 1, ())
        assert result.missing == 0

    def test_values_of_a_shared_machine_are_counted(self, store: Store, planned: Planned) -> None:
        """A worker of an older release does not say; its trials are not counted."""
        job = planned.plan.jobs[0].key
        first, second, third = (
            trial.key for trial in planned.plan.trials if trial.job == job and trial.kind is TrialKind.MEASURE
        )
        log = planned.log()
        for trial, exclusive in ((first, True), (second, False), (third, None)):
            log.finished(trial, [number("latency_ns", 5)], exclusive=exclusive)
        store.logs.ingest([log.arrived()])
        assert store.results.cell_results("run", "latency_ns")[0].shared == 1

    def test_results_by_input_are_kept_with_their_data_set(self, store: Store, planned: Planned) -> None:
        first, second = planned.preflights
        log = planned.log().finished(first, [number("accuracy_top1", 2 / 3)], input_results=RIGHT)
        log.finished(second, [number("accuracy_top1", 1.0)])  # of an older worker, which sends the share alone
        store.logs.ingest([log.arrived()])
        (found,) = store.results.cell_input_results("run")
        assert (found.cell.device, found.cell.variant) == ("pi-03", planned.plan.jobs[0].variant)
        assert (found.metric, found.dataset_sha256, found.encoding, found.count) == (
            "accuracy_top1", "d" * 64, InputEncoding.BITS, 3,
        )  # fmt: skip
        assert found.data == bytes([0b101])
        assert store.results.cell_input_results("no-run") == []

    def test_a_preflight_without_outputs_keeps_the_reason_and_one_with_them_names_and_shapes(
        self, store: Store, planned: Planned
    ) -> None:
        first, second = planned.preflights
        reason = "output 'label' is of strings, not of real numbers"
        layout = [{"name": "boxes", "shape": [1, 2]}, {"name": None, "shape": [1]}]
        log = planned.log().finished(first, outputs={**NO_OUTPUTS, "reason": reason})
        log.finished(second, outputs={**outputs([[1.0, 2.0, 3.0]]), "layout": layout})
        store.logs.ingest([log.arrived()])
        (remark,) = store.results.proof_remarks("run")
        assert (remark.device, remark.label, remark.kind, remark.text) == (
            "pi-03", planned.plan.jobs[0].label, RemarkKind.OUTPUTS_NOT_KEPT, reason,
        )  # fmt: skip
        without, kept = store.results.cell_outputs("run")
        assert (without.count, without.reason, without.layout) == (0, reason, ())
        assert (kept.reason, kept.layout) == (None, (OutputPart("boxes", (1, 2)), OutputPart(None, (1,))))

    @pytest.mark.parametrize(("share", "told"), [(0.0, False), (0.009, False), (0.41, True)])
    def test_a_preflight_of_clipped_inputs_is_told_if_many_are(
        self, store: Store, planned: Planned, share: float, told: bool
    ) -> None:
        first, _ = planned.preflights
        held = {"name": "pixels", "dtype": "int8", "low": -1.0, "high": 0.99, "scale": 0.0078}
        given = {"saturated_ratio": share, "data_low": 0.0, "data_high": 255.0}
        log = planned.log().finished(first, outputs={**outputs([[0.5, 0.5]]), "input_ranges": [{**held, **given}]})
        store.logs.ingest([log.arrived()])
        remarks = store.results.proof_remarks("run")
        assert [(one.kind, one.text) for one in remarks] == told * [
            (
                RemarkKind.INPUTS_SATURATED,
                (
                    "input 'pixels' (int8) holds -1 to 0.99, and clips 41 % of its numbers, which reach from 0 to 255: "
                    "accuracy and outputs are those of clipped inputs"
                ),
            )
        ]

    def test_of_several_trials_with_results_by_input_the_first_that_counts_stands(
        self, store: Store, planned: Planned
    ) -> None:
        job = planned.plan.jobs[0].key
        first, second, _ = (
            trial.key for trial in planned.plan.trials if trial.job == job and trial.kind is TrialKind.MEASURE
        )
        log = planned.log().finished(first, invalid=["too-hot"], input_results=input_results([True]))
        log.finished(second, input_results=RIGHT)
        store.logs.ingest([log.arrived()])
        assert [found.count for found in store.results.cell_input_results("run")] == [3]

    def test_a_percentile_of_samples_is_a_metric_of_its_own(self, store: Store, planned: Planned) -> None:
        first, second, third = (
            trial.key
            for trial in planned.plan.trials
            if trial.job == planned.plan.jobs[0].key and trial.kind is TrialKind.MEASURE
        )
        log = planned.log().finished(first, [Sampled("latency_ns", range(1, 1001))])
        log.finished(second, [number("latency_ns", 500)])  # a number has no percentiles
        log.finished(third, [number("latency_ns", 500), number("latency_ns_p90", 901)])
        store.logs.ingest([log.arrived()])
        p90 = store.results.cell_results("run", "latency_ns_p90")[0]
        assert p90.trial_values == pytest.approx((900.0, 901.0), abs=1)
        assert p90.without_metric == 1
        assert store.results.cell_results("run", "latency_ns_p99")[0].trial_values == pytest.approx((990.0,), abs=1)

    def test_all_metrics_at_once_are_what_each_is_alone(self, store: Store) -> None:
        planned = plan_run(store, retries=Retries(failed=1, invalid=1))
        ok, failed, other, invalid, *_, skipped = planned.measures
        good, bad = planned.preflights
        log = planned.log().runner_started().finished(good, [number("accuracy_top1", 0.9)]).failed(bad)
        log.finished(ok, [Sampled("latency_ns", range(1, 1001)), number("rss_bytes_max", 5e7)])
        log.failed(failed).finished(other, [number("latency_ns", 500), number("latency_ns_p90", 901)])
        log.finished(invalid, invalid=["too-hot"])
        store.logs.ingest([log.skipped(skipped, "its preflight failed").arrived()])

        metrics = ["latency_ns", "latency_ns_p90", "rss_bytes_max", "energy_mj", "accuracy_top1", "load_ns"]
        found = store.results.results_in_metrics("run", metrics)
        assert list(found) == metrics
        for metric in metrics:
            assert found[metric] == store.results.cell_results("run", metric), metric
        (energy,) = {one.unmeasured for one in found["energy_mj"] if one.without_metric}
        assert energy == (NO_ACCOUNT,)
        assert sorted(value for one in found["latency_ns_p90"] for value in one.trial_values) == [900.1, 901.0]

    def test_no_run_has_no_cells(self, store: Store) -> None:
        assert store.results.cell_results("no-run", "latency_ns") == []
        assert store.results.cell_outputs("no-run") == []
