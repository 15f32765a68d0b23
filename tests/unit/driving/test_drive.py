"""The driver against scripted devices and a real SQLite database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import pytest

from device_worker.protocol.vocabulary import LogState, RunOutcome
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Cancel,
    Close,
    Command,
    FactsReported,
    FollowEnded,
    Forget,
    PlanStarted,
    RecordsArrived,
    Report,
    SessionEnded,
    SessionId,
    SessionReport,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import BundleError, LinkLost, NoSuchRelease, Unreachable
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.document import log_bounds
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.recovery import Rescue
from orchestrator.domain.run import DeviceRunState
from orchestrator.domain.run_details import RunDetails
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.execution.base import Launch, Listen
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.show import details_of
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    WORKER_SHA256,
    EventLog,
    Sampled,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
)

RUN = "run-1"
PI, HAT = sample_device("pi-03"), sample_device("pi-04")
MODEL = sample_model()
SWEEP = sample_sweep(("fp32",), trials=2)
Reply = Callable[[Command], Sequence[Report]]


class ScriptedExecutor:
    """Devices that answer each command at once, as a script per device says."""

    def __init__(self, scripts: dict[str, Reply], greetings: dict[str, Report] | None = None) -> None:
        self._scripts = scripts
        self._greetings = greetings or {}
        self._sessions: dict[str, tuple[SessionId, Listen]] = {}
        self.posted: list[tuple[str, Command]] = []

    def launch(self, launches: Sequence[Launch], listen: Listen) -> None:
        for launch in launches:
            self._sessions[launch.session.device] = (launch.session, listen)
        for launch in launches:
            self.greet(launch.device, launch.rescue)

    def greet(self, device: Device, rescue: Rescue | None) -> None:
        """Report what a session says first."""
        self.emit(self._greetings.get(device.name, FactsReported(device.name, Facts(FACTS), WORKER_SHA256)))

    def emit(self, report: Report) -> None:
        """Report as the present session of the report's device."""
        session, listen = self._sessions[report.device]
        listen(SessionReport(session, report))

    def post(self, session: SessionId, command: Command) -> None:
        self.posted.append((session.device, command))
        if isinstance(command, Close) or (isinstance(command, Forget) and command.and_close):
            self.emit(SessionEnded(session.device))
            return
        for report in self._scripts[session.device](command):
            self.emit(report)

    def end(self, sessions: Collection[SessionId], timeout_s: float = 10.0) -> None:
        pass

    def close(self, timeout_s: float = 10.0) -> None:
        pass

    def commands(self, device: str) -> list[type]:
        return [type(command) for name, command in self.posted if name == device]


class Planner:
    """Plans with the real planner; nothing is resolved."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        return sample_plan(device, SWEEP, MODEL)

    def keep(self, document: bytes) -> Blob:
        return Blob("0" * 64, len(document), BlobKind.PLAN, "plan.json")


class Broken(Planner):
    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        raise BundleError("the index does not answer", "check the network")


class Mistaken(Planner):
    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        raise NoSuchRelease("s.yaml:4: the package index has no tflite-runtime 2.99.0", "check the version")


def log_of(device: Device, log_id: str = "log-1") -> EventLog:
    return EventLog(RUN, sample_plan(device, SWEEP, MODEL), log_id).runner_started()


def whole_log(device: Device, log_id: str = "log-1") -> EventLog:
    log = log_of(device, log_id)
    for trial in sample_plan(device, SWEEP, MODEL).trials:
        log.started(trial.key).finished(trial.key, [Sampled("latency_ns", range(1000, 1100))])
    return log.run_finished()


def followed(log: EventLog, state: str = LogState.FINISHED, after: int = 0) -> list[Report]:
    return [log.arrived(after + 1), FollowEnded(log.device, RUN, state, log.log_id, log.last_seq)]


def obedient(device: Device) -> Reply:
    """A device that runs whatever it is assigned, to the end."""
    log = whole_log(device)

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Assignment):
            return [PlanStarted(device.name, RUN, log.log_id), *followed(log)]
        return followed(log)

    return reply


def drive(
    store: Store,
    executor: ScriptedExecutor,
    intent: Intent = Intent.RUN,
    devices: Sequence[Device] = (PI,),
    **options: object,
) -> RunDetails:
    if store.runs.find_run(RUN) is None:
        store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, devices)
    planner = options.pop("planner", Planner())
    tools = DriverTools(store, executor, SilentDisplay(), planner)  # type: ignore[arg-type]
    Driver(RUN, intent, tools, **options).drive(devices)  # type: ignore[arg-type]
    return details_of(store, RUN)


def state(outcome: RunDetails, device: Device) -> DeviceRunState:
    return next(part.state for part in outcome.record.devices if part.device == device.name)


def error(outcome: RunDetails, device: Device) -> str | None:
    return next(part.error for part in outcome.record.devices if part.device == device.name)


def test_a_whole_log_is_committed_and_then_forgotten(store: Store) -> None:
    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    outcome = drive(store, executor)
    assert outcome.exit_code == 0
    assert state(outcome, PI) is DeviceRunState.COMPLETE
    assert executor.commands("pi-03") == [Assignment, Forget]
    assert store.logs.offset(RUN, "pi-03").last_seq == whole_log(PI).last_seq


def test_an_unreachable_device_is_a_value_and_the_other_goes_on(store: Store) -> None:
    gone = SessionEnded("pi-04", Unreachable("refused", "is it on?", device="pi-04", step="connect"))
    executor = ScriptedExecutor({"pi-03": obedient(PI)}, {"pi-04": gone})
    outcome = drive(store, executor, devices=(PI, HAT))
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.FAILED)
    assert error(outcome, HAT) == "pi-04: connect: refused"
    assert outcome.exit_code == 3


def test_no_device_at_all_is_an_infrastructure_failure(store: Store) -> None:
    gone = SessionEnded("pi-03", Unreachable("refused", device="pi-03", step="connect"))
    assert drive(store, ScriptedExecutor({}, {"pi-03": gone})).exit_code == 4


def test_a_plan_that_cannot_be_made_fails_its_device(store: Store) -> None:
    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    outcome = drive(store, executor, planner=Broken())
    assert state(outcome, PI) is DeviceRunState.FAILED
    assert "the index does not answer" in (error(outcome, PI) or "")
    assert executor.commands("pi-03") == [Close]


def test_a_release_that_does_not_exist_is_the_sweeps_mistake_and_is_on_record(store: Store) -> None:
    executor = ScriptedExecutor({"pi-03": obedient(PI)})
    with pytest.raises(NoSuchRelease, match=r"s.yaml:4: the package index has no tflite-runtime 2\.99\.0"):
        drive(store, executor, planner=Mistaken())
    (device,) = details_of(store, RUN).record.devices
    assert device.state is DeviceRunState.FAILED
    assert "the package index has no" in (device.error or "")


def test_a_corrupt_log_fails_its_device_and_no_other(store: Store) -> None:
    def reply(command: Command) -> Sequence[Report]:
        log = whole_log(HAT)
        bad = log.arrived()
        torn = RecordsArrived(
            bad.device, bad.run, bad.log_id, bad.first_seq, bad.last_seq, bad.lines[:-9] + b"garbage!\n"
        )
        return [PlanStarted("pi-04", RUN, log.log_id), torn]

    executor = ScriptedExecutor({"pi-03": obedient(PI), "pi-04": reply})
    outcome = drive(store, executor, devices=(PI, HAT))
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.FAILED)


def test_a_detached_run_is_left_as_soon_as_its_runner_lives(store: Store) -> None:
    executor = ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]})
    outcome = drive(store, executor, Intent.DETACH)
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert executor.commands("pi-03") == [Assignment, Close]


def test_a_lost_link_leaves_the_device_running_and_resume_collects_the_rest(store: Store) -> None:
    log = whole_log(PI)
    lost = SessionEnded("pi-03", LinkLost("the worker ended", device="pi-03", step="follow"))
    executor = ScriptedExecutor(
        {"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), log.arrived(1, 4), lost]}
    )
    outcome = drive(store, executor)
    assert state(outcome, PI) is DeviceRunState.RUNNING
    assert outcome.exit_code == 3

    again = ScriptedExecutor({"pi-03": lambda command: followed(log, after=4)})
    resumed = drive(store, again, Intent.RESUME)

    assert resumed.exit_code == 0
    assert again.posted[0] == ("pi-03", Attachment(RUN, "log-1", 4, log_bounds(sample_plan(PI, SWEEP, MODEL).document)))
    assert again.commands("pi-03") == [Attachment, Forget]


def test_a_stopped_runner_is_reported_and_resume_runs_only_what_is_missing(store: Store) -> None:
    plan = sample_plan(PI, SWEEP, MODEL)
    first, second, third = (trial.key for trial in plan.trials)
    log = log_of(PI).started(first).finished(first).started(second).finished(second, [Sampled("latency_ns", [5])])
    stopped = followed(log, LogState.STOPPED)
    executor = ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), *stopped]})
    outcome = drive(store, executor)
    assert state(outcome, PI) is DeviceRunState.STOPPED
    assert "ended before its plan did" in (error(outcome, PI) or "")

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Attachment):
            return [FollowEnded("pi-03", RUN, LogState.STOPPED, "log-1", log.last_seq)]
        assert isinstance(command, Assignment)
        assert set(command.skip) == {first, second}
        seen = log.last_seq
        log.runner_started().started(third).finished(third, [Sampled("latency_ns", [5])]).run_finished()
        return [PlanStarted("pi-03", RUN, "log-1"), *followed(log, after=seen)]

    resumed = drive(store, ScriptedExecutor({"pi-03": reply}), Intent.RESUME)
    assert resumed.exit_code == 0
    assert error(resumed, PI) is None


def test_a_runner_that_stopped_after_the_last_trial_is_started_again_to_end_its_log(store: Store) -> None:
    log = log_of(PI)
    for trial in sample_plan(PI, SWEEP, MODEL).trials:
        log.started(trial.key).finished(trial.key, [Sampled("latency_ns", [5])])

    def reply(command: Command) -> Sequence[Report]:
        assert isinstance(command, Attachment | Assignment)
        if isinstance(command, Attachment):
            return [FollowEnded("pi-03", RUN, LogState.STOPPED, "log-1", log.last_seq)]
        seen = log.last_seq if command.skip else 0
        if command.skip:
            log.runner_started().run_finished()
        return [
            PlanStarted("pi-03", RUN, "log-1"),
            *followed(log, LogState.FINISHED if command.skip else LogState.STOPPED, after=seen),
        ]

    drive(store, ScriptedExecutor({"pi-03": reply}))
    resumed = drive(store, ScriptedExecutor({"pi-03": reply}), Intent.RESUME)
    assert (resumed.exit_code, state(resumed, PI)) == (0, DeviceRunState.COMPLETE)


def test_a_device_that_lost_its_log_runs_what_the_database_lacks_on_a_new_one(store: Store) -> None:
    plan = sample_plan(PI, SWEEP, MODEL)
    first, second, third = (trial.key for trial in plan.trials)
    log = log_of(PI).started(first).finished(first).started(second)
    executor = ScriptedExecutor(
        {"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), *followed(log, LogState.STOPPED)]}
    )
    drive(store, executor)

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Attachment):
            return [FollowEnded("pi-03", RUN, LogState.UNKNOWN, None, None)]
        fresh = log_of(PI, "log-2")
        for trial in (second, third):
            fresh.started(trial).finished(trial, [Sampled("latency_ns", [5])])
        fresh.run_finished()
        return [PlanStarted("pi-03", RUN, "log-2"), *followed(fresh)]

    resumed = drive(store, ScriptedExecutor({"pi-03": reply}), Intent.RESUME)
    assert resumed.exit_code == 0
    assert store.logs.offset(RUN, "pi-03").log_id == "log-2"


def test_a_runner_that_always_dies_is_given_up(store: Store) -> None:
    log = log_of(PI)

    def reply(command: Command) -> Sequence[Report]:
        started = [PlanStarted("pi-03", RUN, "log-1")] if isinstance(command, Assignment) else []
        return [*started, FollowEnded("pi-03", RUN, LogState.STOPPED, "log-1", log.last_seq)]

    drive(
        store,
        ScriptedExecutor(
            {"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), *followed(log, LogState.STOPPED)]}
        ),
    )
    executor = ScriptedExecutor({"pi-03": reply})
    outcome = drive(store, executor, Intent.RESUME)
    assert state(outcome, PI) is DeviceRunState.STOPPED
    assert executor.commands("pi-03").count(Assignment) == 4, "what resume was asked for, and three restarts"


def test_failed_trials_of_a_finished_log_run_again_on_a_new_one(store: Store) -> None:
    plan = sample_plan(PI, SWEEP, MODEL)
    first, second, third = (trial.key for trial in plan.trials)
    log = log_of(PI).started(first).finished(first).started(second).failed(second, "timeout")
    log.started(third).finished(third, [Sampled("latency_ns", [5])]).run_finished()
    once = drive(
        store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1"), *followed(log)]})
    )
    assert once.exit_code == 3
    assert [missing.trial for missing in once.missing] == [second]

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Attachment):
            return [FollowEnded("pi-03", RUN, LogState.FINISHED, "log-1", log.last_seq)]
        if isinstance(command, Forget):
            return []
        assert isinstance(command, Assignment)
        assert set(command.skip) == {first, third}
        fresh = log_of(PI, "log-2").started(second).finished(second, [Sampled("latency_ns", [5])]).run_finished()
        return [PlanStarted("pi-03", RUN, "log-2"), *followed(fresh)]

    executor = ScriptedExecutor({"pi-03": reply})
    assert drive(store, executor, Intent.RESUME, retry_failed=True).exit_code == 0
    assert executor.commands("pi-03") == [Attachment, Forget, Assignment, Forget]


def test_cancel_is_asked_for_before_the_rest_is_collected(store: Store) -> None:
    log = log_of(PI)
    drive(store, ScriptedExecutor({"pi-03": lambda command: [PlanStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)

    def reply(command: Command) -> Sequence[Report]:
        if isinstance(command, Cancel):
            log.run_finished(RunOutcome.CANCELLED)
            return []
        return followed(log)

    executor = ScriptedExecutor({"pi-03": reply})
    outcome = drive(store, executor, Intent.CANCEL)
    assert executor.commands("pi-03") == [Cancel, Attachment, Forget]
    assert state(outcome, PI) is DeviceRunState.CANCELLED
