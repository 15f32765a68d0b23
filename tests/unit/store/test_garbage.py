"""What a trial's program reports costs its attempt, never the device's log."""

from orchestrator.store.ingest.events import TrialFinished
from orchestrator.store.ingest.log_reader import LogKey, read_records
from orchestrator.testing.event_logs import EventLog, number, sample_device, sample_model, sample_plan, sample_sweep


def test_a_report_that_cannot_be_stored_is_a_failed_attempt_and_the_log_goes_on() -> None:
    plan = sample_plan(sample_device(), sample_sweep(("fp32",), trials=2), sample_model())
    first, second = (trial.key for trial in plan.trials[1:])
    log = EventLog("run-1", plan).runner_started()
    log.started(first).finished(first, [number("latency_ns", 1.0), number("latency_ns", 2.0)])
    log.started(second).finished(second, [number("latency_ns", 1.0)])

    read = read_records(LogKey("run-1", plan.device, log.log_id), log.lines, 0)

    assert read.bad is None
    bad, good = (event.body for event in read.events if isinstance(event.body, TrialFinished))
    assert not bad.ok
    assert bad.failure is not None
    assert bad.failure.kind == "garbage-output"
    assert "latency_ns" in bad.failure.message
    assert good.ok
