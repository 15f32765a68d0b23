"""Drive the devices of one run: hand over plans, commit what their logs say, and know when each is done.

The driver is the only writer of the database. Sessions report to one queue; whatever has gathered there is committed in
one transaction, so that fifty devices cost hardly more than one.
"""

from __future__ import annotations

import queue
import time
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
    Report,
    RunnerStarted,
    SessionEnded,
    StepBegan,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import CorruptLog, DeviceError, OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan import DevicePlan
from orchestrator.domain.plan_document import planned_blobs, planned_trials
from orchestrator.domain.run import DeviceRunState, Offset, Standing
from orchestrator.execution.base import Executor
from orchestrator.reporting.base import RunDisplay
from orchestrator.store.base import DeviceRecords, Results, RunProgress, RunRecords

PREPARATIONS_AT_ONCE = 2
COMMIT_DELAY_S = 0.25
COMMIT_DELAY_S_MAX = 2.0
DEVICES_PER_COMMIT_DELAY = 5
"""Records wait this much longer for company per so many devices: what many devices send at once costs less."""
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
    future: Future[DevicePlan]


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
        self._inbox: queue.SimpleQueue[Report | _Prepared] = queue.SimpleQueue()
        self._parts: dict[str, _Part] = {}
        self._delay_s = COMMIT_DELAY_S

    def drive(self, devices: Sequence[Device]) -> None:
        """Do with these devices what the intent says; KeyboardInterrupt leaves them running and is passed on."""
        self._parts = {device.name: _Part(device) for device in devices}
        self._delay_s = min(COMMIT_DELAY_S * max(1, len(devices) // DEVICES_PER_COMMIT_DELAY), COMMIT_DELAY_S_MAX)
        self._preparations = ThreadPoolExecutor(PREPARATIONS_AT_ONCE, thread_name_prefix="prepare")
        try:
            self._executor.launch(devices, self._inbox.put)
            while not all(part.ended for part in self._parts.values()):
                self._handle(self._gathered())
        finally:
            self._preparations.shutdown(wait=False, cancel_futures=True)
            self._executor.close()

    def _gathered(self) -> list[Report | _Prepared]:
        """Return what has come; records alone wait a moment for more, so that one commit serves many devices."""
        reports = [self._inbox.get()]
        deadline, urgent = time.monotonic() + self._delay_s, False
        while True:
            urgent = urgent or not isinstance(reports[-1], RecordsArrived)
            wait_s = 0.0 if urgent else deadline - time.monotonic()
            try:
                reports.append(self._inbox.get(timeout=wait_s) if wait_s > 0 else self._inbox.get_nowait())
            except queue.Empty:
                return reports

    def _handle(self, reports: Sequence[Report | _Prepared]) -> None:
        """Take starts first, then commit all records, then the rest: what a device reports comes in this order."""
        for report in reports:
            if isinstance(report, RunnerStarted) and not self._parts[report.device].ended:
                self._on_started(self._parts[report.device])
        self._commit(_joined([report for report in reports if isinstance(report, RecordsArrived)]))
        for report in reports:
            part = self._parts[report.device]
            if part.ended:
                continue
            match report:
                case StepBegan():
                    self._display.step(report.device, report.step, report.detail)
                case FactsReported():
                    self._on_facts(part, report)
                case _Prepared():
                    self._on_prepared(part, report.future)
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

    def _on_facts(self, part: _Part, report: FactsReported) -> None:
        part.snapshot = self._store.save_snapshot(part.device, report.facts, datetime.now(UTC))
        part.worker_sha256 = report.worker_sha256
        name = part.device.name
        is_new = self._intent in (Intent.RUN, Intent.DETACH)
        document = None if is_new else self._store.plan_document(self._run, name)
        if self._intent is Intent.CANCEL:
            self._executor.post(name, Cancel(self._run))
        if document is None and self._intent in (Intent.FOLLOW, Intent.CANCEL):
            self._end(part, DeviceRunState.CANCELLED if self._intent is Intent.CANCEL else DeviceRunState.PLANNED)
        elif document is None:
            self._display.step(name, "prepare", "resolving runtimes for the device's platform")
            future = self._preparations.submit(self._planner.plan, part.device, report.facts)
            future.add_done_callback(lambda done: self._inbox.put(_Prepared(name, done)))
        else:
            offset = self._store.offset(self._run, name)
            self._executor.post(name, Attachment(self._run, offset.log_id, offset.last_seq))

    def _on_prepared(self, part: _Part, future: Future[DevicePlan]) -> None:
        assert part.snapshot is not None
        try:
            plan = future.result()
            self._store.save_plan(self._run, plan, part.snapshot, part.worker_sha256)
        except OrchestratorError as error:  # a database that is gone ends the drive when this is recorded
            self._fail(part, error)
            return
        self._display.planned(plan.device, len(plan.trials), len(plan.excluded))
        if not plan.trials:
            self._end(part, DeviceRunState.COMPLETE)
        else:
            self._assign(part, plan.document, plan.blobs, ())

    def _assign(self, part: _Part, document: bytes, blobs: Sequence[Blob], skip: Sequence[str]) -> None:
        plan = self._planner.keep(document)
        offset = self._store.offset(self._run, part.device.name)
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
            self._end(part, DeviceRunState.STOPPED, error, f"benchfleet runs resume {self._run}")

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
        self._assign(part, document, planned_blobs(document), sorted(done))
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
