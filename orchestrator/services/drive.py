"""Drive the devices of one run: hand over plans, commit what their logs say, and know when each is done.

The driver is the only writer of the database. Sessions report to one queue; whatever has gathered there is written in
one transaction of each kind, so that fifty devices cost hardly more than one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from device_worker.protocol.vocabulary import RunState as DeviceLogState
from orchestrator.domain.conversation import (
    Attachment,
    Cancel,
    Close,
    FactsReported,
    FollowEnded,
    Forget,
    RecordsArrived,
    RungClimbed,
    RunnerStarted,
    SessionEnded,
    Step,
    StepBegan,
    is_answer,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, DeviceReserved, LeaseLost, RunnerStopped, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Busy, Granted
from orchestrator.domain.plan_document import longest_s, planned_trials
from orchestrator.domain.run import DeviceRunState, Offset
from orchestrator.services.device_leases import DeviceLeases
from orchestrator.services.driver_parts import MEASURING, NEW, Part
from orchestrator.services.driver_parts import DriverParts as DriverParts
from orchestrator.services.driver_parts import Intent as Intent
from orchestrator.services.driver_parts import Planner as Planner
from orchestrator.services.handover import Handover, Prepared
from orchestrator.services.health import Twins, check_health
from orchestrator.services.inbox import Inbox, Patient, Urgent
from orchestrator.services.ladder import Help, Ladder, kept_out
from orchestrator.services.ledger import ENDED, Ledger
from orchestrator.services.way_out import way_out

STOPPED = "the runner on the device ended before its plan did"
LOG_GONE = "the device has no log of this run any more"
NOT_BEGUN = "the device has not begun"


class Driver:
    """One use: `drive()` returns when every device is done, failed or left alone."""

    def __init__(self, run: str, intent: Intent, parts: DriverParts, *, retry_failed: bool = False) -> None:
        self._run = run
        self._intent = intent
        self._store = parts.store
        self._executor = parts.executor
        self._display = parts.display
        self._holder = parts.tenant.holder
        self._retry_failed = retry_failed
        self._inbox: Inbox[Prepared] = Inbox()
        self._parts: dict[str, Part] = {}
        self._twins = Twins()
        self._leases = DeviceLeases(parts.store, run, parts.tenant, collects=intent in (Intent.FOLLOW, Intent.CANCEL))
        self._ledger = Ledger(run, self._parts, parts, self._leases)
        self._handover = Handover(run, intent, parts, self._ledger, self._leases)
        self._ladder = Ladder(run, intent, self._parts, parts, self._leases, tell=self._inbox.put)

    def drive(self, devices: Sequence[Device]) -> frozenset[str]:
        """Do with these devices what the intent says; KeyboardInterrupt leaves them running and is passed on.

        Return those that another controller has taken over meanwhile. Raise NoSuchRelease at the end, when everything
        is recorded, where the sweep names one: that is its mistake, not a device's failure.
        """
        self._parts.update({device.name: Part(device) for device in devices})
        if self._intent is Intent.RESUME:
            for part in self._parts.values():
                part.was_cancelled = self._ledger.standing(part).state is DeviceRunState.CANCELLED
        self._inbox.expect(len(devices))
        try:
            self._begin(self._leases.claim(devices))
            while going_on := sum(not part.ended for part in self._parts.values()):
                urgent, due = self._inbox.take(self._leases.pause_s, going_on)
                self._hear([*urgent, *due])
                self._tend()
                self._answer(urgent)
                self._settle(due)
                self._help_stranded()
        except StoreError as error:
            again = f"benchfleet runs {'cancel' if self._intent is Intent.CANCEL else 'resume'} {self._run}"
            told = StoreError(error.message, f"{error.hint}; then: {again}" if error.hint else again)
            told.exit_code = error.exit_code
            raise told from error
        finally:
            self._handover.close()
            self._executor.close()
            self._leave()
        if self._handover.mistake is not None:
            raise self._handover.mistake
        return frozenset(name for name, part in self._parts.items() if part.taken_over)

    def _begin(self, answers: Mapping[str, Granted | Busy]) -> None:
        """Connect to the devices that are granted; of the others say who is in the way."""
        granted = []
        quarantined = self._store.quarantines(list(answers)) if answers and self._intent in MEASURING else {}
        for name, answer in answers.items():
            part = self._parts[name]
            if name in quarantined:
                self._ledger.refuse(part, kept_out(quarantined[name]))
                continue  # _tend gives it back
            if isinstance(answer, Granted) and self._ledger.ended_elsewhere(part):
                continue  # _tend gives it back
            if isinstance(answer, Granted):
                granted.append(part.device)
                part.launched = True
                for before in answer.taken_over:
                    self._display.step(name, "lease", f"taken over from {before.holder} ({before.controller})")
            elif answer.waiting is not None:
                part.queued_as = part.queued_as or self._ledger.standing(part).state
                self._display.step(name, Step.WAIT, f"place {answer.ahead + 1} in the queue: {answer.sentence}")
            else:
                self._ledger.refuse(part, DeviceReserved(answer.refusal, way_out(answer, self._holder), device=name))
        if granted:
            self._executor.launch(granted, self._inbox.put)

    def _hear(self, reports: Sequence[Urgent | Patient | Prepared]) -> None:
        for report in reports:
            if not isinstance(report, Prepared) and is_answer(report):
                self._parts[report.device].heard_at = time.monotonic()

    def _tend(self) -> None:
        """Renew the leases, ask whether those that were waited for are granted, and give back what is done with."""
        for lost in self._leases.renew_if_due():
            if not self._parts[lost.device].ended:
                self._ledger.give_up(self._parts[lost.device], lost)
        self._begin(self._leases.ask_if_due())
        for name in self._leases.holders:
            if self._parts[name].ended:
                self._release(self._parts[name])
        self._leases.settle()

    def _leave(self) -> None:
        """Give back every device; where the database does not answer, the leases end by themselves."""
        with suppress(StoreError):
            for name in self._leases.holders:
                self._release(self._parts[name])
            self._leases.settle()

    def _release(self, part: Part) -> None:
        """Give a device back; one that goes on by itself keeps its lease for as long as its plan may take."""
        name = part.device.name
        state = part.outcome or self._ledger.standing(part).state
        goes_on = state is DeviceRunState.RUNNING or (part.started and part.outcome is None)
        document = self._store.plan_document(self._run, name) if goes_on else None
        if document is None:
            self._leases.end(name)
            return
        done = self._store.done_trials(self._run, name, retry_failed=False)
        self._leases.leave_running(name, longest_s(document, frozenset(done)))

    def _answer(self, reports: Sequence[Urgent | Prepared]) -> None:
        """Give devices what they wait for: all that asked at the same time in one transaction."""
        facts: list[FactsReported] = []
        prepared: list[tuple[Part, Prepared]] = []
        for report in reports:
            part = self._parts[report.device]
            if part.ended:
                continue
            match report:
                case RunnerStarted():
                    self._on_started(part)
                case RungClimbed():
                    self._on_climbed(part, report)
                case StepBegan():
                    self._display.step(report.device, report.step, report.detail)
                case FactsReported():
                    facts.append(report)
                case Prepared():
                    prepared.append((part, report))
        if facts:
            self._on_facts(facts)
        if prepared:
            self._handover.hand_over(prepared)

    def _settle(self, reports: Sequence[Patient]) -> None:
        """Commit all records, then hear the ends that followed them."""
        self._ledger.commit([report for report in reports if isinstance(report, RecordsArrived)])
        for report in reports:
            part = self._parts[report.device]
            if part.ended:
                continue
            try:
                self._on_end(part, report)
            except LeaseLost as lost:
                self._ledger.give_up(part, lost)

    def _on_end(self, part: Part, report: Patient) -> None:
        match report:
            case FollowEnded():
                self._on_follow_ended(part, report)
            case SessionEnded():
                self._on_session_ended(part, report)

    def _on_facts(self, reports: Sequence[FactsReported]) -> None:
        taken = [(self._parts[report.device].device, report.facts) for report in reports]
        snapshots = self._store.save_snapshots(taken, datetime.now(UTC))
        for report in reports:
            part, snapshot = self._parts[report.device], snapshots[report.device]
            if isinstance(snapshot, StoreError):
                self._ledger.fail(part, snapshot)
                continue
            part.snapshot, part.worker_sha256 = snapshot, report.worker_sha256
            is_new = self._intent in NEW and not part.cut_off  # else its clock may not be set yet
            unfit = check_health(part.device, report.facts, self._display) if is_new else None
            if unfit is not None:
                self._ledger.fail(part, unfit)
                continue
            if self._intent in NEW:
                self._twins.notice(part.device, report.facts, self._display)
            self._set_to_work(part, report.facts)

    def _on_climbed(self, part: Part, report: RungClimbed) -> None:
        try:
            self._ladder.climbed(part, report)
        except LeaseLost as lost:
            self._ledger.give_up(part, lost)

    def _set_to_work(self, part: Part, facts: Facts) -> None:
        if part.climbed and self._ledger.cancelled_elsewhere(part):
            return
        name = part.device.name
        is_new = self._intent in NEW and not part.climbed
        document = None if is_new else self._store.plan_document(self._run, name)
        if self._intent is Intent.CANCEL:
            self._executor.post(name, Cancel(self._run))
        if document is None and self._intent in (Intent.FOLLOW, Intent.CANCEL):
            state = DeviceRunState.CANCELLED if self._intent is Intent.CANCEL else DeviceRunState.PLANNED
            self._ledger.end(part, state)
        elif document is None:
            self._handover.prepare(part.device, facts, self._inbox.put)
        elif self._intent is Intent.DETACH:
            self._handover.assign_again(part, document, frozenset())
        else:
            offset = self._store.offset(self._run, name)
            self._executor.post(name, Attachment(self._run, offset.log_id, offset.last_seq))

    def _on_started(self, part: Part) -> None:
        """Leave a detached device; of the others the log's own first records tell that they run."""
        part.started, part.stopped, part.cut_off = True, False, False
        self._ladder.ended(part, succeeded=True)
        if self._intent is Intent.DETACH:
            self._ledger.end(part, DeviceRunState.RUNNING)

    def _on_follow_ended(self, part: Part, report: FollowEnded) -> None:
        name = part.device.name
        part.stopped = report.state == DeviceLogState.STOPPED
        broke_off = self._intent in MEASURING and report.state != DeviceLogState.FINISHED
        if broke_off and self._ledger.cancelled_elsewhere(part):
            return
        offset = self._store.offset(self._run, name)
        collected = report.state == DeviceLogState.FINISHED and offset == Offset(report.log_id, report.last_seq or 0)
        if self._goes_on(part, report.state) and self._resumed(part, report, offset, collected):
            return
        known = self._ledger.cancelled(part) if self._intent is Intent.CANCEL else self._ledger.standing(part)
        if collected:
            self._ledger.collected(part, known)
            self._executor.post(name, Forget(self._run, offset.log_id or "", offset.last_seq))
        elif known.state in ENDED and (self._intent is Intent.CANCEL or report.state == DeviceLogState.UNKNOWN):
            self._ledger.end(part, known.state)
        elif known.state is DeviceRunState.PLANNED and report.state == DeviceLogState.UNKNOWN and not part.started:
            self._ledger.end(part, known.state, NOT_BEGUN, f"benchfleet runs resume {self._run}")
        else:
            error = STOPPED if part.stopped else LOG_GONE
            self._on_stopped(part, error + (f": {report.reason}" if report.reason else ""))

    def _on_stopped(self, part: Part, error: str) -> None:
        """Let the device be rescued once this session has ended, or leave it as it is."""
        failure = RunnerStopped(error, device=part.device.name)
        if part.stopped and self._ladder.wants_rescue(part, failure):  # a log that is gone does not come back
            part.failure = failure
            self._executor.post(part.device.name, Close())
            return
        self._ladder.ended(part, succeeded=False)
        self._ledger.end(part, DeviceRunState.STOPPED, error, f"benchfleet runs resume {self._run}")

    def _goes_on(self, part: Part, state: str) -> bool:
        """Say whether what is missing on a device is this driver's to start: a new run never had another log."""
        if self._intent is Intent.RESUME:
            return True
        stopped_here = state == DeviceLogState.STOPPED or (state == DeviceLogState.UNKNOWN and bool(part.climbed))
        return self._intent is Intent.RUN and stopped_here

    def _resumed(self, part: Part, report: FollowEnded, offset: Offset, collected: bool) -> bool:
        """Start what is missing, if anything is: a stopped log is gone on with, a finished one gives way to a new one.

        What fails again on a new log is left at that; the run is resumed once more by whoever wants it.
        """
        name = part.device.name
        document = self._store.plan_document(self._run, name)
        done = frozenset(self._store.done_trials(self._run, name, self._retry_failed))
        if document is None or planned_trials(document) <= done or part.fresh_log or not self._ladder.may_restart(part):
            return False
        self._ladder.restart(part, report.reason or STOPPED)
        if collected:
            self._executor.post(name, Forget(self._run, offset.log_id or "", offset.last_seq, and_close=False))
        part.fresh_log = collected or report.state == DeviceLogState.UNKNOWN
        self._handover.assign_again(part, document, done)
        return True

    def _on_session_ended(self, part: Part, report: SessionEnded) -> None:
        failure, part.failure = report.error or part.failure, None
        if failure is not None and part.outcome is None:
            part.stranded, part.stranded_at = failure, time.monotonic()
            return
        part.ended = True
        if report.error is not None and part.outcome is DeviceRunState.COMPLETE:
            self._ledger.left_behind(part, report.error)

    def _help_stranded(self) -> None:
        """Rescue devices whose session has ended too early, or leave them; some wait for what becomes of the others."""
        for part in self._parts.values():
            failure = part.stranded
            if failure is None or part.ended:
                continue
            try:
                if self._intent in MEASURING and self._ledger.cancelled_elsewhere(part):
                    continue
                complete = self._ledger.standing(part).state is DeviceRunState.COMPLETE
                helped = Help.NONE if complete else self._ladder.help(part, failure)
                if helped is Help.LATER:
                    continue
                part.stranded = None
                if helped is Help.NONE:
                    self._leave_stranded(part, failure)
            except LeaseLost as lost:
                self._ledger.give_up(part, lost)

    def _leave_stranded(self, part: Part, failure: DeviceError) -> None:
        """Leave a device; one whose runner has ended, or was cut off, does not go on by itself."""
        part.ended = True
        if self._intent is Intent.CANCEL:
            self._ledger.not_cancelled(part, failure)
        elif (part.stopped and not failure.retryable) or (part.cut_off and (part.started or part.stopped)):
            self._ledger.end(part, DeviceRunState.STOPPED, str(failure), f"benchfleet runs resume {self._run}")
        else:
            self._ledger.lose(part, failure)
