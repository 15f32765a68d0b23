"""Drive the devices of one run: hand over plans, commit what their logs say, and know when each is done.

The driver is the only writer of the database. Sessions report to one queue; whatever has gathered there is written in
one transaction of each kind, so that fifty devices cost hardly more than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Protocol

from device_worker.protocol.vocabulary import RunState as DeviceLogState
from orchestrator.domain.blob import Blob
from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Cancel,
    Close,
    FactsReported,
    FollowEnded,
    Forget,
    RecordsArrived,
    RunnerStarted,
    SessionEnded,
    StepBegan,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import CorruptLog, DeviceError, OrchestratorError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import DevicePlan, PreparedPlan
from orchestrator.domain.plan_document import planned_blobs, planned_trials
from orchestrator.domain.run import DeviceRunState, Offset, Standing
from orchestrator.execution.base import Executor
from orchestrator.reporting.base import RunDisplay
from orchestrator.services.health import check_health
from orchestrator.services.inbox import Inbox, Patient, Urgent
from orchestrator.store.base import DeviceRecords, Results, RunProgress, RunRecords

PREPARATIONS_AT_ONCE = 2
RESTARTS_MAX = 3
"""How often one resume starts a device's runner: one that always dies is left for a person."""

ENDED = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)
STOPPED = "the runner on the device ended before its plan did"
LOG_GONE = "the device has no log of this run any more"


class Intent(Enum):
    """What the driver wants of every device of the run."""

    RUN = auto()
    DETACH = auto()
    RESUME = auto()
    FOLLOW = auto()
    CANCEL = auto()


NEW = (Intent.RUN, Intent.DETACH)


class DriverStore(DeviceRecords, RunRecords, RunProgress, Results, Protocol):
    """The roles of the database that a driver needs."""


class Planner(Protocol):
    """Makes device plans, and keeps their bytes where sessions find them."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return a device's plan, resolving and packing what it needs; may take minutes, runs beside the driver."""

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""


@dataclass(frozen=True, slots=True)
class DriverParts:
    """What a driver works with."""

    store: DriverStore
    executor: Executor
    display: RunDisplay
    planner: Planner


@dataclass(frozen=True, slots=True)
class _Prepared:
    device: str
    future: Future[tuple[DevicePlan, Blob]]


@dataclass(slots=True)
class _Part:
    """What the driver knows of one device."""

    device: Device
    snapshot: int | None = None
    worker_sha256: str = ""
    started: bool = False
    fresh_log: bool = False
    restarts: int = 0
    outcome: DeviceRunState | None = None
    ended: bool = False


class Driver:
    """One use: `drive()` returns when every device is done, failed or left alone."""

    def __init__(self, run: str, intent: Intent, parts: DriverParts, *, retry_failed: bool = False) -> None:
        self._run = run
        self._intent = intent
        self._store = parts.store
        self._executor = parts.executor
        self._display = parts.display
        self._planner = parts.planner
        self._retry_failed = retry_failed
        self._inbox: Inbox[_Prepared] = Inbox()
        self._parts: dict[str, _Part] = {}

    def drive(self, devices: Sequence[Device]) -> None:
        """Do with these devices what the intent says; KeyboardInterrupt leaves them running and is passed on."""
        self._parts = {device.name: _Part(device) for device in devices}
        self._inbox.expect(len(devices))
        self._preparations = ThreadPoolExecutor(PREPARATIONS_AT_ONCE, thread_name_prefix="prepare")
        try:
            self._executor.launch(devices, self._inbox.put)
            while not all(part.ended for part in self._parts.values()):
                urgent, due = self._inbox.take()
                self._answer(urgent)
                self._settle(due)
        finally:
            self._preparations.shutdown(wait=False, cancel_futures=True)
            self._executor.close()

    def _answer(self, reports: Sequence[Urgent | _Prepared]) -> None:
        """Give devices what they wait for: all that asked at the same time in one transaction."""
        facts: list[FactsReported] = []
        prepared: list[_Prepared] = []
        for report in reports:
            if self._parts[report.device].ended:
                continue
            match report:
                case RunnerStarted():
                    self._on_started(self._parts[report.device])
                case StepBegan():
                    self._display.step(report.device, report.step, report.detail)
                case FactsReported():
                    facts.append(report)
                case _Prepared():
                    prepared.append(report)
        if facts:
            self._on_facts(facts)
        if prepared:
            self._on_prepared(prepared)

    def _settle(self, reports: Sequence[Patient]) -> None:
        """Commit all records, then hear the ends that followed them."""
        self._commit(_joined([report for report in reports if isinstance(report, RecordsArrived)]))
        for report in reports:
            part = self._parts[report.device]
            if part.ended:
                continue
            match report:
                case FollowEnded():
                    self._on_follow_ended(part, report)
                case SessionEnded():
                    self._on_session_ended(part, report)

    def _commit(self, batch: Sequence[RecordsArrived]) -> None:
        while batch := [report for report in batch if not self._parts[report.device].ended]:
            try:
                ingested = self._store.ingest(batch)
            except CorruptLog as error:
                self._fail(self._parts[error.device], error)
                continue
            for result in ingested:
                for change in result.changes:
                    self._display.changed(change)
            return

    def _on_facts(self, reports: Sequence[FactsReported]) -> None:
        taken = [(self._parts[report.device].device, report.facts) for report in reports]
        snapshots = self._store.save_snapshots(taken, datetime.now(UTC))
        for report in reports:
            part, snapshot = self._parts[report.device], snapshots[report.device]
            if isinstance(snapshot, StoreError):
                self._fail(part, snapshot)
                continue
            part.snapshot, part.worker_sha256 = snapshot, report.worker_sha256
            unfit = check_health(part.device, report.facts, self._display) if self._intent in NEW else None
            if unfit is not None:
                self._fail(part, unfit)
                continue
            self._set_to_work(part, report.facts)

    def _set_to_work(self, part: _Part, facts: Facts) -> None:
        name = part.device.name
        is_new = self._intent in NEW
        document = None if is_new else self._store.plan_document(self._run, name)
        if self._intent is Intent.CANCEL:
            self._executor.post(name, Cancel(self._run))
        if document is None and self._intent in (Intent.FOLLOW, Intent.CANCEL):
            self._end(part, DeviceRunState.CANCELLED if self._intent is Intent.CANCEL else DeviceRunState.PLANNED)
        elif document is None:
            self._display.step(name, "prepare", "resolving runtimes for the device's platform")
            future = self._preparations.submit(self._prepare, part.device, facts)
            future.add_done_callback(lambda done: self._inbox.put(_Prepared(name, done)))
        else:
            offset = self._store.offset(self._run, name)
            self._executor.post(name, Attachment(self._run, offset.log_id, offset.last_seq))

    def _prepare(self, device: Device, facts: Facts) -> tuple[DevicePlan, Blob]:
        plan = self._planner.plan(device, facts)
        return plan, self._planner.keep(plan.document)

    def _on_prepared(self, prepared: Sequence[_Prepared]) -> None:
        plans: dict[str, tuple[DevicePlan, Blob]] = {}
        for one in prepared:
            try:
                plans[one.device] = one.future.result()
            except OrchestratorError as error:
                self._fail(self._parts[one.device], error)
        refused = self._store.save_plans(self._run, [self._prepared_plan(plan) for plan, _blob in plans.values()])
        for name, (plan, blob) in plans.items():
            part = self._parts[name]
            if name in refused:
                self._fail(part, refused[name])
                continue
            self._display.planned(name, len(plan.trials), len(plan.excluded))
            if plan.trials:
                self._assign(part, blob, plan.blobs, (), Offset(None, 0))
            else:
                self._end(part, DeviceRunState.COMPLETE)

    def _prepared_plan(self, plan: DevicePlan) -> PreparedPlan:
        part = self._parts[plan.device]
        assert part.snapshot is not None
        return PreparedPlan(plan, part.snapshot, part.worker_sha256)

    def _assign(self, part: _Part, plan: Blob, blobs: Sequence[Blob], skip: Sequence[str], offset: Offset) -> None:
        assignment = Assignment(
            self._run,
            plan.sha256,
            (plan, *blobs),
            tuple(skip),
            offset.log_id,
            offset.last_seq,
            detach=self._intent is Intent.DETACH,
        )
        self._executor.post(part.device.name, assignment)

    def _on_started(self, part: _Part) -> None:
        """Leave a detached device; of the others the log's own first records tell that they run."""
        part.started = True
        if self._intent is Intent.DETACH:
            self._end(part, DeviceRunState.RUNNING)

    def _on_follow_ended(self, part: _Part, report: FollowEnded) -> None:
        name = part.device.name
        offset = self._store.offset(self._run, name)
        collected = report.state == DeviceLogState.FINISHED and offset == Offset(report.log_id, report.last_seq or 0)
        if self._intent is Intent.RESUME and self._resumed(part, report, offset, collected):
            return
        known = self._cancelled(part) if self._intent is Intent.CANCEL else self._standing(part)
        if collected:
            self._display.device_ended(name, known.state, known.error, known.hint)
            part.outcome = known.state
            self._executor.post(name, Forget(self._run, offset.log_id or "", offset.last_seq))
        elif known.state in ENDED and (self._intent is Intent.CANCEL or report.state == DeviceLogState.UNKNOWN):
            self._end(part, known.state)
        else:
            error = STOPPED if report.state == DeviceLogState.STOPPED else LOG_GONE
            why = f": {report.reason}" if report.reason else ""
            self._end(part, DeviceRunState.STOPPED, error + why, f"benchfleet runs resume {self._run}")

    def _resumed(self, part: _Part, report: FollowEnded, offset: Offset, collected: bool) -> bool:
        """Start what is missing, if anything is: a stopped log is gone on with, a finished one gives way to a new one.

        What fails again on a new log is left at that; the run is resumed once more by whoever wants it.
        """
        name = part.device.name
        document = self._store.plan_document(self._run, name)
        done = set(self._store.done_trials(self._run, name, self._retry_failed))
        if document is None or planned_trials(document) <= done or part.fresh_log or part.restarts == RESTARTS_MAX:
            return False
        part.restarts += 1
        if collected:
            self._executor.post(name, Forget(self._run, offset.log_id or "", offset.last_seq, and_close=False))
        part.fresh_log = collected or report.state == DeviceLogState.UNKNOWN
        self._display.planned(name, len(planned_trials(document) - done), 0)
        plan = self._planner.keep(document)
        self._assign(part, plan, planned_blobs(document), sorted(done), self._store.offset(self._run, name))
        return True

    def _on_session_ended(self, part: _Part, report: SessionEnded) -> None:
        part.ended = True
        if report.error is None or part.outcome is not None:
            return
        if self._intent is Intent.CANCEL:
            self._not_cancelled(part, report.error)
            return
        # a device that was running goes on by itself: only its link is lost, and resume finds it again
        state = self._standing(part).state
        if state is DeviceRunState.PLANNED:
            state = DeviceRunState.RUNNING if part.started else DeviceRunState.FAILED
        self._record(part, state, str(report.error), report.error.hint)

    def _cancelled(self, part: _Part) -> Standing:
        """Return how a device stands of which no runner is left: cancelled, whatever stopped it, unless complete."""
        known = self._standing(part)
        if known.state in ENDED:
            return known
        self._store.set_device_state(self._run, part.device.name, DeviceRunState.CANCELLED)
        return Standing(DeviceRunState.CANCELLED, None, None)

    def _not_cancelled(self, part: _Part, error: DeviceError) -> None:
        """Take a device that did not answer for cancelled only if it never had a plan; else its runner may live on."""
        if self._store.plan_document(self._run, part.device.name) is None:
            self._record(part, DeviceRunState.CANCELLED, None, None)
            return
        hint = f"when the device answers again: benchfleet runs cancel {self._run}"
        hint = f"{error.hint}; {hint}" if error.hint else hint
        self._record(part, self._standing(part).state, f"{error}; the run may go on there", hint)

    def _fail(self, part: _Part, error: OrchestratorError) -> None:
        self._end(part, DeviceRunState.FAILED, str(error), error.hint)

    def _end(self, part: _Part, state: DeviceRunState, error: str | None = None, hint: str | None = None) -> None:
        """Leave a device: nothing more is expected of it."""
        part.ended = True
        self._record(part, state, error, hint)
        self._executor.post(part.device.name, Close())

    def _record(self, part: _Part, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        part.outcome = state
        self._store.set_device_state(self._run, part.device.name, state, error, hint)
        self._display.device_ended(part.device.name, state, error, hint)

    def _standing(self, part: _Part) -> Standing:
        return self._store.standing(self._run, part.device.name)


def _joined(batch: Sequence[RecordsArrived]) -> list[RecordsArrived]:
    """Join reports that continue each other: most of a commit's cost is per report, not per record."""
    joined: dict[tuple[str, str], RecordsArrived] = {}
    done: list[RecordsArrived] = []
    for report in batch:
        key = (report.device, report.log_id)
        before = joined.get(key)
        if before is not None and before.last_seq + 1 == report.first_seq:
            report = replace(before, last_seq=report.last_seq, lines=before.lines + report.lines)
        elif before is not None:
            done.append(before)
        joined[key] = report
    return [*done, *joined.values()]
