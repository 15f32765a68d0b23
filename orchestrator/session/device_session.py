"""Hold one device's conversation from connect to close, over as many connections as the link demands."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device_worker.protocol.vocabulary import Message, RunState
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
    RecordsArrived,
    RunnerStarted,
    SessionEnded,
    Step,
    StockTaken,
    TakeStock,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import BlobDamaged, DeviceBusy, DeviceError, OrchestratorError, WorkerFailed
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import CLOCK_OFFSET_KEY, clock_offset_s
from orchestrator.domain.recovery import Rescue
from orchestrator.meters.base import PowerSwitch
from orchestrator.session import answers
from orchestrator.session.cleaning import clean, stock
from orchestrator.session.link import Link, LinkPolicy
from orchestrator.session.rescue import Rescuer
from orchestrator.session.teller import Emit, Teller
from orchestrator.session.worker_client import WorkerClient, WorkerProgram
from orchestrator.transport.base import Connector


@dataclass(frozen=True, slots=True)
class DeviceSessions:
    """Makes sessions; picklable, so that a gateway elsewhere can make them too."""

    connector: Connector
    worker: WorkerProgram
    blobs: BlobSource
    switch: PowerSwitch
    policy: LinkPolicy = field(default_factory=LinkPolicy)

    def __call__(self, device: Device, rescue: Rescue | None = None) -> DeviceSession:
        """Return a session that will talk to this device, and first brings it back where a `rescue` is named."""
        return DeviceSession(device, self, rescue)


class DeviceSession:
    """One device's conversation: probe, ship, start, follow; `run` in one thread, `post` from any other."""

    def __init__(self, device: Device, parts: DeviceSessions, rescue: Rescue | None = None) -> None:
        self._device = device
        self._parts = parts
        self._rescue = rescue
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._teller = Teller(device.name)
        self._link = Link(device, parts.connector, parts.worker, parts.policy, self._teller)

    def run(self, emit: Emit) -> None:
        """Converse until told to close; SessionEnded is the last report. What nobody expected is raised."""
        self._teller.emit = emit
        error: DeviceError | None = None
        try:
            self._converse()
        except DeviceError as failure:
            error = None if self._link.told_to_close.is_set() else failure.at(self._device.name, self._teller.step)
        except OrchestratorError as failure:  # a blob that the controller itself has lost, say
            error = WorkerFailed(failure.message, failure.hint).at(self._device.name, self._teller.step)
        finally:
            self._link.disconnect()
        emit(SessionEnded(self._device.name, error))

    def post(self, command: Command) -> None:
        """Take a command, to be obeyed after those before it; `Close` cuts the connection whatever it is used for."""
        if isinstance(command, Close):
            self._link.close()
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
        self._teller.step = Step.RECOVER  # who launched it has told
        rescuer = Rescuer(self._device, self._parts.connector, self._parts.switch, self._link.told_to_close)
        began = time.monotonic()
        try:
            done = rescuer.rescue(rescue)
        except DeviceError as failure:
            self._teller.climbed(rescue.rung, str(failure), time.monotonic() - began, succeeded=False)
            raise
        self._teller.climbed(done, "", time.monotonic() - began, succeeded=True)

    def _obey(self, command: Command) -> None:
        if isinstance(command, Assignment):
            started = self._start_when_free(command)
            if not command.detach:
                self._follow(Attachment(command.run, command.log_id or started, command.after_seq))
        elif isinstance(command, Attachment):
            self._follow(command)
        elif isinstance(command, Cancel):
            self._teller.begin(Step.CANCEL)
            self._link.use(lambda client: client.cancel(command.run))
        elif isinstance(command, Forget):
            self._teller.step = Step.FORGET
            self._link.use(lambda client: client.forget(command.run, command.log_id, command.last_seq))
        elif isinstance(command, TakeStock):
            self._teller.step = Step.CLEAN
            self._teller.emit(StockTaken(self._device.name, self._link.use(stock)))
        elif isinstance(command, Clean):
            removed, kept = self._link.use(lambda client: clean(client, command.order))
            self._teller.emit(Cleaned(self._device.name, removed, kept))

    def _start_when_free(self, assignment: Assignment) -> str:
        """Start a plan; where the device is in use by others, try again until it is free, if told to wait."""
        pause_s = self._parts.policy.busy_pause_s
        while True:
            try:
                return self._link.use(lambda client: self._assign(client, assignment))
            except DeviceBusy as busy:
                if not assignment.waits:
                    raise
                self._teller.begin(Step.WAIT, busy.message)
                if self._link.told_to_close.wait(pause_s):
                    raise
                pause_s = min(pause_s * 2, self._parts.policy.busy_pause_s_max)

    def _report_facts(self, client: WorkerClient) -> None:
        self._teller.step = Step.FACTS
        asked = time.time_ns()
        values = client.facts().values
        offset_s = clock_offset_s(values.get("unix_ns"), asked, time.time_ns())
        facts = Facts({**values, CLOCK_OFFSET_KEY: offset_s})
        self._teller.emit(FactsReported(self._device.name, facts, client.worker_sha256))

    def _assign(self, client: WorkerClient, assignment: Assignment) -> str:
        self._upload(client, assignment)
        self._teller.step = Step.START
        started = client.start(assignment.run, assignment.plan_sha256, assignment.skip, assignment.lease)
        self._teller.emit(RunnerStarted(self._device.name, assignment.run, started.log_id))
        return started.log_id

    def _upload(self, client: WorkerClient, assignment: Assignment) -> None:
        self._teller.step = Step.UPLOAD
        offsets = client.missing_blobs(assignment.blobs, self._device.limits.cache_bytes_max)
        missing = [blob for blob in assignment.blobs if blob.sha256 in offsets]
        total = sum(blob.size - offsets[blob.sha256] for blob in missing)
        sent = 0
        if missing:
            self._teller.begin(Step.UPLOAD, _amount(total))

        def on_bytes(count: int) -> None:
            nonlocal sent
            sent += count
            self._teller.begin(Step.UPLOAD, f"{_amount(sent)} of {_amount(total)}")

        for blob in missing:
            path, offset, before = self._parts.blobs.path(blob), offsets[blob.sha256], sent
            try:
                client.upload(blob, path, offset, on_bytes)
            except BlobDamaged:  # a bit that flipped on the way, or a beginning that a power cut had spoilt
                total, sent = total + offset, before
                self._teller.begin(Step.UPLOAD, f"{blob.name} arrived damaged and is sent again")
                self._send_again(client, blob, path, on_bytes)

    @staticmethod
    def _send_again(client: WorkerClient, blob: Blob, path: Path, on_bytes: Callable[[int], None]) -> None:
        """Send a whole blob for the second time, and the last."""
        try:
            client.upload(blob, path, 0, on_bytes)
        except BlobDamaged as error:
            hint = "check the device's disk and memory, then resume the run"
            raise BlobDamaged(f"{error.message}, twice", hint) from error

    def _follow(self, attachment: Attachment) -> None:
        """Follow a log to its end, reconnecting from the last record that was passed on."""
        run, seen = attachment.run, _Seen(attachment.log_id, attachment.after_seq)

        def follow(client: WorkerClient) -> None:
            self._teller.begin(Step.FOLLOW)
            self._pass_on(client, run, seen)

        self._link.use(follow)

    def _pass_on(self, client: WorkerClient, run: str, seen: _Seen) -> None:
        name = self._device.name
        for message, payload in client.follow(run, seen.log_id, seen.last_seq, self._parts.policy.heartbeat_s):
            if message["type"] == Message.RECORDS:
                log_id, (first, last) = answers.log_id(message), answers.sequence_numbers(message)
                self._teller.emit(RecordsArrived(name, run, log_id, first, last, payload))
                seen.log_id, seen.last_seq = log_id, last
            elif message["type"] == Message.FOLLOW_ENDED:
                state = answers.words(message.get("state", RunState.UNKNOWN))
                reason = message.get("reason")
                why = answers.words(reason) if reason else None
                self._teller.emit(FollowEnded(name, run, state, *answers.end_of_log(message), why))


@dataclass(slots=True)
class _Seen:
    """The last record passed on."""

    log_id: str | None
    last_seq: int


def _amount(size: int) -> str:
    """Return a number of bytes as a step's detail says it; what is sent at all is never none."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size} B"
