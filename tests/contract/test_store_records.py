"""What every database must keep of devices, runs and plans."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import LeaseRequest
from orchestrator.domain.model import Artifact, Format
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import DeviceRunState, Offset, RunState, TrialState
from orchestrator.domain.runtime import RuntimeSource
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    PROGRAM,
    STARTED_AT,
    TFLITE,
    WORKER_SHA256,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)

PI, NANO = sample_device("pi-03", board="pi5"), sample_device("nano-01")
MODEL, SWEEP = sample_model(), sample_sweep()


def _create(store: Store, run: str = "20260301-0830-abcd", after_s: float = 0) -> None:
    header = sample_header(run, SWEEP, MODEL, STARTED_AT + timedelta(seconds=after_s))
    store.runs.create_run(header, MODEL, [PI, NANO])


def test_newest_snapshot_of_each_device_is_found(store: Store) -> None:
    save_snapshot(store, PI, Facts({**FACTS, "kernel": "6.1"}), STARTED_AT)
    save_snapshot(store, PI, Facts(FACTS), STARTED_AT + timedelta(hours=1))
    save_snapshot(store, PI, Facts({**FACTS, "kernel": "5.4"}), STARTED_AT - timedelta(hours=1))
    found = store.devices.latest_facts(["pi-03", "nano-01", "unheard-of"])
    assert found == {"pi-03": (Facts(FACTS), STARTED_AT + timedelta(hours=1))}


def test_an_unchanged_snapshot_is_recorded_anew(store: Store) -> None:
    first = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    assert save_snapshot(store, PI, Facts(FACTS), STARTED_AT) > first


def test_facts_lose_control_characters(store: Store) -> None:
    save_snapshot(store, PI, Facts({"cpu_model": "Cor\x00tex\x1b[31m", "gpus": [{"name": "a\ud800b"}]}), STARTED_AT)
    facts, _ = store.devices.latest_facts(["pi-03"])["pi-03"]
    assert facts.values == {"cpu_model": "Cortex[31m", "gpus": [{"name": "ab"}]}


def test_facts_that_are_no_facts_are_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=r"pi-03.*not finite"):
        save_snapshot(store, PI, Facts({"cpu_mhz": float("nan")}), STARTED_AT)


def test_a_new_run_is_planned_on_every_device(store: Store) -> None:
    _create(store)
    record = store.runs.find_run("20260301-0830-abcd")
    assert record is not None
    assert record.header == sample_header("20260301-0830-abcd", SWEEP, MODEL)
    assert record.state is RunState.ACTIVE
    assert record.finished_at is None
    assert [device.device for device in record.devices] == ["pi-03", "nano-01"]
    assert {device.state for device in record.devices} == {DeviceRunState.PLANNED}
    assert {device.offset for device in record.devices} == {Offset(None, 0)}


def test_a_run_cannot_be_created_twice(store: Store) -> None:
    _create(store)
    with pytest.raises(StoreError, match="already"):
        _create(store)


def test_runs_are_found_by_prefix_and_as_last(store: Store) -> None:
    _create(store, "20260301-0830-abcd")
    _create(store, "20260301-0915-ef00", after_s=60)
    store.leases.request_leases([PI], LeaseRequest("ann@ws1", "pid 1", "20260301-0915-ef00", None, 60.0))
    for wanted, found in {
        "20260301-0830-abcd": "20260301-0830-abcd",
        "20260301-08": "20260301-0830-abcd",
        "last": "20260301-0915-ef00",
    }.items():
        record = store.runs.find_run(wanted)
        assert record is not None
        assert record.header.run == found


def test_an_ambiguous_prefix_names_the_candidates(store: Store) -> None:
    _create(store, "20260301-0830-abcd")
    _create(store, "20260301-0915-ef00", after_s=60)
    with pytest.raises(ConfigError, match=r"20260301-0915-ef00, 20260301-0830-abcd"):
        store.runs.find_run("2026")


def test_a_whole_id_wins_over_a_longer_one(store: Store) -> None:
    _create(store, "run")
    _create(store, "run-2", after_s=60)
    record = store.runs.find_run("run")
    assert record is not None
    assert record.header.run == "run"


@pytest.mark.parametrize("wanted", ["", "%", "_", "2026%", "RUN"])
def test_what_is_no_prefix_finds_nothing(store: Store, wanted: str) -> None:
    _create(store, "run")
    assert store.runs.find_run(wanted) is None


def test_no_run_is_the_last_of_none(store: Store) -> None:
    assert store.runs.find_run("last") is None


def test_a_plan_is_kept_byte_for_byte(store: Store) -> None:
    _create(store, "run")
    plan = sample_plan(PI, SWEEP, MODEL)
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    assert store.plans.plan_document("run", "pi-03") is None
    save_plan(store, "run", plan, snapshot, WORKER_SHA256)
    assert store.plans.plan_document("run", "pi-03") == plan.document
    record = store.runs.find_run("run")
    assert record is not None
    assert record.devices[0].plan_sha256 == plan.sha256
    measures = sum(trial.kind is TrialKind.MEASURE for trial in plan.trials)
    assert record.devices[0].trials == {TrialState.PLANNED: measures}


def test_the_same_plan_again_changes_nothing(store: Store) -> None:
    _create(store, "run")
    plan = sample_plan(PI, SWEEP, MODEL)
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    save_plan(store, "run", plan, snapshot, WORKER_SHA256)
    before = store.runs.find_run("run")
    save_plan(store, "run", plan, snapshot, "0" * 64)
    assert store.runs.find_run("run") == before


def test_another_plan_is_refused(store: Store) -> None:
    _create(store, "run")
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    save_plan(store, "run", sample_plan(PI, SWEEP, MODEL), snapshot, WORKER_SHA256)
    with pytest.raises(StoreError, match="another plan"):
        save_plan(store, "run", sample_plan(PI, sample_sweep(trials=9), MODEL), snapshot, WORKER_SHA256)


def test_a_plan_that_is_not_what_its_hash_says_is_refused(store: Store) -> None:
    _create(store, "run")
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    with pytest.raises(StoreError, match="hash"):
        save_plan(store, "run", replace(sample_plan(PI, SWEEP, MODEL), sha256="0" * 64), snapshot, WORKER_SHA256)


def test_a_plan_for_a_device_or_run_that_is_not_there_is_refused(store: Store) -> None:
    _create(store, "run")
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    with pytest.raises(StoreError, match=r"stranger: run run does not include"):
        save_plan(store, "run", sample_plan(sample_device("stranger"), SWEEP, MODEL), snapshot, WORKER_SHA256)
    with pytest.raises(StoreError, match="does not include"):
        save_plan(store, "no-run", sample_plan(PI, SWEEP, MODEL), snapshot, WORKER_SHA256)


def test_a_rebuilt_artifact_is_not_mixed_into_an_old_run(store: Store) -> None:
    _create(store, "run")
    artifact = Artifact(Format.TFLITE, "/models/digits/rebuilt.tflite", "f" * 64)
    rebuilt = replace(
        MODEL, variants={name: replace(variant, artifacts=(artifact,)) for name, variant in MODEL.variants.items()}
    )
    snapshot = save_snapshot(store, PI, Facts(FACTS), STARTED_AT)
    with pytest.raises(StoreError, match="not the artifact") as raised:
        save_plan(store, "run", sample_plan(PI, SWEEP, rebuilt), snapshot, WORKER_SHA256)
    assert raised.value.hint == "it was rebuilt meanwhile: begin a new run"


def test_a_plan_of_programs_and_bundles_is_kept(store: Store) -> None:
    sweep = sample_sweep(runtimes=(TFLITE, PROGRAM), matrix={})
    store.runs.create_run(sample_header("run", sweep, MODEL), MODEL, [PI])
    plan = sample_plan(PI, sweep, MODEL)
    save_plan(store, "run", plan, save_snapshot(store, PI, Facts(FACTS), STARTED_AT), WORKER_SHA256)
    assert {job.runtime.source for job in plan.jobs} == {RuntimeSource.BUNDLE, RuntimeSource.EXEC}
    assert [cell.cell.runtime for cell in store.results.cell_results("run", "latency_ns")] == [
        job.runtime.label for job in plan.jobs
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((DeviceRunState.PLANNED, DeviceRunState.COMPLETE), RunState.ACTIVE),
        ((DeviceRunState.RUNNING, DeviceRunState.FAILED), RunState.ACTIVE),
        ((DeviceRunState.COMPLETE, DeviceRunState.COMPLETE), RunState.INCOMPLETE),  # no trial at all
        ((DeviceRunState.COMPLETE, DeviceRunState.FAILED), RunState.INCOMPLETE),
        ((DeviceRunState.STOPPED, DeviceRunState.COMPLETE), RunState.INCOMPLETE),
        ((DeviceRunState.CANCELLED, DeviceRunState.COMPLETE), RunState.CANCELLED),
        ((DeviceRunState.FAILED, DeviceRunState.CANCELLED), RunState.CANCELLED),
    ],
)
def test_a_run_stands_where_its_devices_do(
    store: Store, states: tuple[DeviceRunState, DeviceRunState], expected: RunState
) -> None:
    _create(store, "run")
    for device, state in zip((PI, NANO), states, strict=True):
        store.runs.set_device_state("run", device.name, state)
    record = store.runs.find_run("run")
    assert record is not None
    assert record.state is expected
    assert (record.finished_at is None) == (expected is RunState.ACTIVE)


def test_a_device_keeps_why_it_failed_until_it_runs_again(store: Store) -> None:
    _create(store, "run")
    store.runs.set_device_state(
        "run", "pi-03", DeviceRunState.FAILED, "host key changed", "benchfleet devices enroll pi-03"
    )
    record = store.runs.find_run("run")
    assert record is not None
    assert (record.devices[0].error, record.devices[0].hint) == ("host key changed", "benchfleet devices enroll pi-03")
    store.runs.set_device_state("run", "pi-03", DeviceRunState.RUNNING)
    record = store.runs.find_run("run")
    assert record is not None
    assert (record.devices[0].error, record.devices[0].hint) == (None, None)


def test_a_finished_run_that_is_resumed_is_active_again(store: Store) -> None:
    _create(store, "run")
    for device in (PI, NANO):
        store.runs.set_device_state("run", device.name, DeviceRunState.STOPPED)
    store.runs.set_device_state("run", "pi-03", DeviceRunState.RUNNING)
    record = store.runs.find_run("run")
    assert record is not None
    assert (record.state, record.finished_at) == (RunState.ACTIVE, None)


def test_a_state_of_a_device_that_is_not_there_is_refused(store: Store) -> None:
    _create(store, "run")
    with pytest.raises(StoreError, match="stranger: run run does not include"):
        store.runs.set_device_state("run", "stranger", DeviceRunState.FAILED)


def test_devices_are_used_last_when_their_newest_run_began(store: Store) -> None:
    model, device = sample_model(), sample_device("pi-03")
    for hours, run in ((0, "run-1"), (2, "run-2")):
        header = sample_header(run, sample_sweep(), model, STARTED_AT + timedelta(hours=hours))
        store.runs.create_run(header, model, [device])
    assert store.submissions.last_used(["pi-03", "pi-04"]) == {"pi-03": STARTED_AT + timedelta(hours=2)}
    assert store.submissions.last_used([]) == {}
