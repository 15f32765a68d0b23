"""Hold the conversation with a device from connect to close, over as many connections as needed."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device_worker.protocol.printable import byte_count_text
from device_worker.protocol.vocabulary import LogState, Message
from orchestrator.blobs.base import BlobSource
from orchestrator.domain.blob import Blob
from orchestrator.domain.conversation import (
    Assignment,
    Attachment,
    Cancel,
    Clean,
    Cleaned,
    Close,
    Command,
    FactsReported,
    FollowEnded,
    Forget,
    PlanStarted,
    RecordsArrived,
    SessionEnded,
    Step,
    StockTaken,
    Stored,
    TakeStock,
)
from orchestrator.domain.device import GPU_FACT, Device
from orchestrator.domain.errors import BlobDamaged, DeviceBusy, DeviceError, OrchestratorError, WorkerFailed
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import CLOCK_OFFSET_KEY, clock_offset_s
from orchestrator.domain.log_bounds import LogBounds
from orchestrator.domain.meter import best_offset
from orchestrator.domain.recovery import Rescue
from orchestrator.power.switch import PowerSwitch
from orchestrator.session import answers
from orchestrator.session.allowance import Allowance
from orchestrator.session.cleaning import clean, stock
from orchestrator.session.link import Link, LinkPolicy
from orchestrator.session.rescue import Rescuer
from orchestrator.session.step_reporter import Emit, StepReporter
from orchestrator.session.waiting import RecordTime
from orchestrator.session.worker_client import WorkerClient, WorkerProgram
from orchestrator.transport.base import Admission, Connector


@dataclass(frozen=True, slots=True)
class DeviceSessions:
    """Makes sessions. Picklable, so that a gateway on another machine can make sessions too."""

    connector: Connector
    worker: WorkerProgram
    blobs: BlobSource
    switch: PowerSwitch
    policy: LinkPolicy = field(default_factory=LinkPolicy)
    gate: Admission = field(kw_only=True)

    def __call__(self, device: Device, rescue: Rescue | None = None) -> DeviceSession:
        """Return a new session for a device. The session begins with `rescue`, if given."""
        return DeviceSession(device, self, rescue)


class DeviceSession:
    """The conversation with a device. Call `run` in a thread of its own, and `post` from any thread."""

    def __init__(self, device: Device, tools: DeviceSessions, rescue: Rescue | None = None) -> None:
        self._device = device
        self._tools = tools
        self._rescue = rescue
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._allowance = Allowance()
        self._reporter = StepReporter(device.name)
        self._link = Link(device, tools.connector, tools.worker, tools.policy, self._reporter, gate=tools.gate)

    def run(self, emit: Emit) -> None:
        """Obey commands until `Close`, and send reports to `emit`. The last report is SessionEnded.

        A DeviceError becomes part of SessionEnded. An unexpected exception is raised.
        """
        self._reporter.emit = emit
        error: DeviceError | None = None
        try:
            with self._tools.gate.asked_by(
                self._link.asker
            ):  # a rescue connects without the link, and is dismissed with it
                self._converse()
        except DeviceError as failure:
            # After `Close` the connection is cut on purpose, and the error says only so.
            error = None if self._link.told_to_close.is_set() else failure.at(self._device.name, self._reporter.step)
        except OrchestratorError as failure:  # on the controller's side, such as a blob missing from its own cache
            error = WorkerFailed(failure.message, failure.hint).at(self._device.name, self._reporter.step)
        finally:
            self._link.disconnect()
        emit(SessionEnded(self._device.name, error))

    def post(self, command: Command) -> None:
        """Queue a command behind the earlier commands. `Close` also cuts the connection at once.

        `Stored` is heard at once, in the middle of a following.
        """
        if isinstance(command, Stored):
            self._allowance.leave(command.size)
            return
        if isinstance(command, Close):
            self._link.close()
            self._allowance.close()
        self._commands.put(command)

    def _converse(self) -> None:
        if self._rescue is not None:
            self._be_rescued(self._rescue)
        self._link.reach(self._report_facts)
        while True:
            command = self._commands.get()
            if isinstance(command, Close):
                return
            self._obey(command)
            if isinstance(command, Forget) and command.and_close:
                return

    def _be_rescued(self, rescue: Rescue) -> None:
        self._reporter.step = Step.RECOVER  # without a report: the driver has reported the rung before this session
        rescuer = Rescuer(
            self._device, self._tools.connector, self._tools.switch, self._link.told_to_close, self._link.asker
        )
        began = time.monotonic()
        try:
            done = rescuer.rescue(rescue)
        except DeviceError as failure:
            self._reporter.climbed(rescue.rung, str(failure), time.monotonic() - began, succeeded=False)
            raise
        self._reporter.climbed(done, "", time.monotonic() - began, succeeded=True)

    def _obey(self, command: Command) -> None:
        if isinstance(command, Assignment):
            started = self._start_when_free(command)
            if not command.detach:
                self._follow(Attachment(command.run, command.log_id or started, command.after_seq, command.bounds))
        elif isinstance(command, Attachment):
            self._follow(command)
        elif isinstance(command, Cancel):
            self._reporter.begin(Step.CANCEL)
            self._link.use(lambda client: client.cancel(command.run, between_trials=command.between_trials))
        elif isinstance(command, Forget):
            self._reporter.step = Step.FORGET
            self._link.use(lambda client: client.forget(command.run, command.log_id, command.last_seq))
        elif isinstance(command, TakeStock):
            self._reporter.step = Step.CLEAN
            self._reporter.emit(StockTaken(self._device.name, self._link.use(stock)))
        elif isinstance(command, Clean):
            removed, kept = self._link.use(lambda client: clean(client, command.order))
            self._reporter.emit(Cleaned(self._device.name, removed, kept))

    def _start_when_free(self, assignment: Assignment) -> str:
        """Start a plan and return the log's id. If the assignment waits, ask a busy device again until free.

        Raise DeviceBusy if the assignment does not wait.
        """
        pause_s = self._tools.policy.busy_pause_s
        while True:
            try:
                return self._link.use(lambda client: self._assign(client, assignment))
            except DeviceBusy as busy:
                if not assignment.waits:
                    raise
                self._reporter.begin(Step.WAIT, busy.message)
                if self._link.told_to_close.wait(pause_s):
                    raise
                pause_s = min(pause_s * 2, self._tools.policy.busy_pause_s_max)  # a run may hold the device for hours

    def _report_facts(self, client: WorkerClient) -> None:
        self._reporter.step = Step.FACTS
        asked = time.time_ns()  # a right clock of the device reads between question and answer
        values = client.facts().values
        offset_s = clock_offset_s(values.get("unix_ns"), asked, time.time_ns())
        gpu = {} if self._device.gpu is None else {GPU_FACT: self._device.gpu}
        facts = Facts({**values, CLOCK_OFFSET_KEY: offset_s, **gpu, **self._clock(client, values.get("boot_id"))})
        self._reporter.emit(FactsReported(self._device.name, facts, client.worker_sha256))

    def _clock(self, client: WorkerClient, boot_id: object) -> dict[str, object]:
        """Return the comparison of clocks for a device with a meter on the controller's side, as a fact."""
        if self._device.meter is None:
            return {}
        offset = best_offset(client.compare_clocks(), boot_id if isinstance(boot_id, str) else None)
        if offset is None:
            return {}
        return {
            "clock": {
                "offset_ns": offset.offset_ns,
                "uncertainty_ns": offset.uncertainty_ns,
                "asked_unix_ns": offset.asked_unix_ns,
            }
        }

    def _assign(self, client: WorkerClient, assignment: Assignment) -> str:
        self._upload(client, assignment)
        self._reporter.step = Step.START
        started = client.start(
            assignment.run,
            assignment.plan_sha256,
            assignment.skip,
            assignment.lease,
            exclusive=self._device.exclusive,
            spent=assignment.spent,
        )
        self._reporter.emit(PlanStarted(self._device.name, assignment.run, started.log_id))
        return started.log_id

    def _upload(self, client: WorkerClient, assignment: Assignment) -> None:
        self._reporter.step = Step.UPLOAD
        offsets = client.missing_blobs(assignment.blobs, self._device.limits.cache_bytes_max)
        missing = [blob for blob in assignment.blobs if blob.sha256 in offsets]
        total = sum(blob.size - offsets[blob.sha256] for blob in missing)
        sent = 0
        if missing:
            self._reporter.begin(Step.UPLOAD, byte_count_text(total))

        def on_bytes(count: int) -> None:
            nonlocal sent
            sent += count
            self._reporter.begin(Step.UPLOAD, f"{byte_count_text(sent)} of {byte_count_text(total)}")

        for blob in missing:
            path, offset, before = self._tools.blobs.path(blob), offsets[blob.sha256], sent
            try:
                client.upload(blob, path, offset, on_bytes)
            except BlobDamaged:  # a bit has flipped on the way, or a power cut has spoilt the bytes sent before
                total, sent = total + offset, before
                self._reporter.begin(Step.UPLOAD, f"{blob.name} arrived damaged and is sent again")
                self._send_again(client, blob, path, on_bytes)

    @staticmethod
    def _send_again(client: WorkerClient, blob: Blob, path: Path, on_bytes: Callable[[int], None]) -> None:
        """Send a whole blob again. Raise BlobDamaged with a hint if the second copy is damaged too."""
        try:
            client.upload(blob, path, 0, on_bytes)
        except BlobDamaged as error:
            hint = "check the device's disk and memory, then resume the run"
            raise BlobDamaged(f"{error.message}, twice", hint) from error

    def _follow(self, attachment: Attachment) -> None:
        """Follow a log to the end. After a lost link, go on behind the last reported record."""
        patience = RecordTime(attachment.bounds.silence_s_max, self._tools.policy.heartbeat_s)
        run, seen = attachment.run, _Seen(attachment.log_id, attachment.after_seq, attachment.bounds, patience)

        def follow(client: WorkerClient) -> None:
            self._reporter.begin(Step.FOLLOW)
            self._pass_on(client, run, seen)

        self._link.use(follow)

    def _pass_on(self, client: WorkerClient, run: str, seen: _Seen) -> None:
        name = self._device.name
        heartbeat_s = self._tools.policy.heartbeat_s
        for message, payload in client.follow(run, seen.log_id, seen.last_seq, heartbeat_s, seen.patience):
            if message["type"] == Message.RECORDS:
                log_id, (first, last) = answers.log_id(message), answers.sequence_numbers(message)
                seen.note(log_id, last, max(1, payload.count(b"\n")))
                self._allowance.enter(len(payload))
                self._reporter.emit(RecordsArrived(name, run, log_id, first, last, payload))
            elif message["type"] == Message.FOLLOW_ENDED:
                state = answers.words(message.get("state", LogState.UNKNOWN))
                reason = message.get("reason")
                why = answers.words(reason) if reason else None
                self._reporter.emit(FollowEnded(name, run, state, *answers.end_of_log(message), why))


@dataclass(slots=True)
class _Seen:
    """The last reported record of a followed log, and what the plan still allows."""

    log_id: str | None
    last_seq: int
    bounds: LogBounds
    patience: RecordTime
    records: int = 0

    def note(self, log_id: str, last_seq: int, records: int) -> None:
        """Take new records into account. Raise WorkerFailed for more records than the plan can bring."""
        self.records += records
        if self.records > self.bounds.records_max:
            raise WorkerFailed(f"its log has more than the {self.bounds.records_max} records that the plan can bring")
        if (log_id, last_seq) != (self.log_id, self.last_seq):
            self.patience.note_record()
        self.log_id, self.last_seq = log_id, last_seq
