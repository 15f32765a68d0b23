"""What every database knows of one cell: every attempt, fit or not, and the samples behind a value."""

from orchestrator.domain.plan.document import condition_limits
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import number
from tests.contract.planned_runs import LATENCIES, Planned


def job_of(store: Store, device: str, label: str) -> int:
    (job,) = [one.job for one in store.cells.jobs_of("run") if (one.device, one.label) == (device, label)]
    return job


def test_attempts_are_told_with_conditions_and_values_counted_or_not(store: Store, planned: Planned) -> None:
    job = planned.plan.jobs[0]
    first, second, *_ = [trial.key for trial in planned.plan.trials if trial.job == job.key and trial.index > 0]
    log = planned.log().runner_started()
    log.finished(first, [LATENCIES], invalid=["too-hot"]).finished(first, [LATENCIES], attempt=2)
    store.logs.ingest([log.failed(second, "timeout", "after 120 s\nmore").arrived()])
    cell = store.cells.cell(job_of(store, "pi-03", job.label))
    assert cell is not None
    hot, good, failed = cell.attempts
    assert [(one.trial, one.ordinal, one.counted) for one in cell.attempts] == [
        (first, 1, False),
        (first, 2, True),
        (second, 1, False),
    ]
    assert hot.invalid == ("too-hot",)
    assert cell.limits == condition_limits(planned.plan.document)
    assert (failed.outcome, failed.failure, failed.metrics) == ("failed", "timeout: after 120 s", {})
    assert (good.outcome, good.failure, good.metrics["latency_ns"].samples) == ("ok", None, 300)
    assert good.before["temperature_c"] == 48.5
    assert {store.cells.job_of_attempt(one.id) for one in cell.attempts} == {cell.job}
    assert store.cells.job_of_attempt(10**18 - 1) is None
    (samples,) = store.cells.samples(cell.job, "latency_ns")
    assert samples.attempt == good.id, "the hot attempt's samples do not count"


def test_samples_are_read_back_as_they_were_taken(store: Store, planned: Planned) -> None:
    trial = planned.measures[0]
    label = next(job.label for job in planned.plan.jobs if trial.startswith(f"{job.key}."))
    store.logs.ingest([planned.log().finished(trial, [LATENCIES, number("load_ns", 3.0)]).arrived()])
    job = job_of(store, "pi-03", label)
    (found,) = store.cells.samples(job, "latency_ns")
    assert found.samples.tolist() == list(LATENCIES.samples)
    assert store.cells.samples(job, "load_ns") == []
    assert store.cells.samples(job_of(store, "nano-01", label), "latency_ns") == []
