"""Hold one device's conversation from connect to close, over as many connections as the link demands."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
    Report,
    RungClimbed,
    RunnerStarted,
    SessionEnded,
    Step,
    StepBegan,
    StockTaken,
    TakeStock,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import BlobDamaged, DeviceBusy, DeviceError, OrchestratorError, WorkerFailed
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import CLOCK_OFFSET_KEY, clock_offset_s
from orchestrator.domain.recovery import Rung
from orchestrator.meters.base import PowerSwitch
from orchestrator.session import answers
from orchestrator.session.cleaning import clean, stock
from orchestrator.session.rescue import Rescuer
from orchestrator.session.worker_client import WorkerClient, WorkerProgram
from orchestrator.transport.base import Connector, Transport

Emit = Callable[[Report], None]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """How a lost link is sought again, and how often the device says that it is still there.

    How long, the device's own `recovery` says. A link that is lost `losses_max` times in a row, each time before it has
    held for `stable_s`, is given up all the same. A device that somebody else uses is asked again after `busy_pause_s`,
    and less and less often.
    """

    losses_max: int = 12
    heartbeat_s: float = 15.0
    stable_s: float = 60.0
    busy_pause_s: float = 2.0
    busy_pause_s_max: float = 30.0


@dataclass(frozen=True, slots=True)
class DeviceSessions:
    """Makes sessions; picklable, so that a gateway elsewhere can make them too."""

    connector: Connector
    worker: WorkerProgram
    blobs: BlobSource
    switch: PowerSwitch
    policy: LinkPolicy = LinkPolicy()

    def __call__(self, device: Device, rescue: Rung | None = None) -> DeviceSession:
        """Return a session that will talk to this device, and first brings it back where a `rescue` is named."""
        return DeviceSession(device, self, rescue)


class DeviceSession:
    """One device's conversation: probe, ship, start, follow; `run` in one thread, `post` from any other."""

    def __init__(self, device: Device, parts: DeviceSessions, rescue: Rung | None = None) -> None:
        self._device = device
        self._parts = parts
        self._rescue = rescue
        self._reached = False
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._client: WorkerClient | None = None
        self._step = Step.CONNECT
        self._closing = False
        self._told_to_close = threading.Event()
        self._emit: Emit = _nobody

    def run(self, emit: Emit) -> None:
        """Converse until told to close; SessionEnded is the last report. What nobody expected is raised."""
        self._emit = emit
        error: DeviceError | None = None
        try:
            self._converse()
        except DeviceError as failure:
            error = None if self._closing else failure.at(self._device.name, self._step)
        except OrchestratorError as failure:  # a blob that the controller itself has lost, say
            error = WorkerFailed(failure.message, failure.hint).at(self._device.name, self._step)
        finally:
            self._disconnect()
        emit(SessionEnded(self._device.name, error))

    def post(self, command: Command) -> None:
        """Take a command, to be obeyed after those before it; `Close` cuts the connection whatever it is used for."""
        with self._lock:
            if isinstance(command, Close):
                self._closing = True
                self._told_to_close.set()
                if self._transport is not None:
                    self._transport.close()
            self._commands.put(command)

    def _converse(self) -> None:
        if self._rescue is not None:
            self._be_rescued(self._rescue)
        self._with_link(self._report_facts, self._device.recovery.retries + 1)
        self._reached = True
        while True:
            command = self._commands.get()
            if isinstance(command, Close):
                return
            self._obey(command)
            if isinstance(command, Forget) and command.and_close:
                return

    def _obey(self, command: Command) -> None:
        attempts = self._parts.policy.losses_max
        if isinstance(command, Assignment):
            started = self._start_when_free(command, attempts)
            if not command.detach:
                self._follow(Attachment(command.run, command.log_id or started, command.after_seq))
        elif isinstance(command, Attachment):
            self._follow(command)
        elif isinstance(command, Cancel):
            self._begin(Step.CANCEL)
            self._with_link(lambda client: client.cancel(command.run), attempts)
        elif isinstance(command, Forget):
            self._step = Step.FORGET
            self._with_link(lambda client: client.forget(command.run, command.log_id, command.last_seq), attempts)
        elif isinstance(command, TakeStock):
            self._step = Step.CLEAN
            self._emit(StockTaken(self._device.name, self._with_link(stock, attempts)))
        elif isinstance(command, Clean):
            removed, kept = self._with_link(lambda client: clean(client, command.order), attempts)
            self._emit(Cleaned(self._device.name, removed, kept))

    def _start_when_free(self, assignment: Assignment, attempts: int) -> str:
        """Start a plan; where the device is in use by others, try again until it is free, if told to wait."""
        pause_s = self._parts.policy.busy_pause_s
        while True:
            try:
                return self._with_link(lambda client: self._assign(client, assignment), attempts)
            except DeviceBusy as busy:
                if not assignment.waits:
                    raise
                self._begin(Step.WAIT, busy.message)
                if self._told_to_close.wait(pause_s):
                    raise
                pause_s = min(pause_s * 2, self._parts.policy.busy_pause_s_max)

    def _report_facts(self, client: WorkerClient) -> None:
        self._step = Step.FACTS
        asked = time.time_ns()
        values = client.facts().values
        offset_s = clock_offset_s(values.get("unix_ns"), asked, time.time_ns())
        facts = Facts({**values, CLOCK_OFFSET_KEY: offset_s})
        self._emit(FactsReported(self._device.name, facts, client.worker_sha256))

    def _assign(self, client: WorkerClient, assignment: Assignment) -> str:
        self._upload(client, assignment)
        self._step = Step.START
        started = client.start(assignment.run, assignment.plan_sha256, assignment.skip, assignment.lease)
        self._emit(RunnerStarted(self._device.name, assignment.run, started.log_id))
        return started.log_id

    def _upload(self, client: WorkerClient, assignment: Assignment) -> None:
        self._step = Step.UPLOAD
        offsets = client.missing_blobs(assignment.blobs, self._device.limits.cache_bytes_max)
        missing = [blob for blob in assignment.blobs if blob.sha256 in offsets]
        total = sum(blob.size - offsets[blob.sha256] for blob in missing)
        sent = 0
        if missing:
            self._begin(Step.UPLOAD, _amount(total))

        def on_bytes(count: int) -> None:
            nonlocal sent
            sent += count
            self._begin(Step.UPLOAD, f"{_amount(sent)} of {_amount(total)}")

        for blob in missing:
            path, offset, before = self._parts.blobs.path(blob), offsets[blob.sha256], sent
            try:
                client.upload(blob, path, offset, on_bytes)
            except BlobDamaged:  # a bit that flipped on the way, or a beginning that a power cut had spoilt
                total, sent = total + offset, before
                self._begin(Step.UPLOAD, f"{blob.name} arrived damaged and is sent again")
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
            self._begin(Step.FOLLOW)
            self._pass_on(client, run, seen)

        self._with_link(follow, self._parts.policy.losses_max)

    def _pass_on(self, client: WorkerClient, run: str, seen: _Seen) -> None:
        name = self._device.name
        for message, payload in client.follow(run, seen.log_id, seen.last_seq, self._parts.policy.heartbeat_s):
            if message["type"] == Message.RECORDS:
                log_id, (first, last) = answers.log_id(message), answers.sequence_numbers(message)
                self._emit(RecordsArrived(name, run, log_id, first, last, payload))
                seen.log_id, seen.last_seq = log_id, last
            elif message["type"] == Message.FOLLOW_ENDED:
                state = answers.words(message.get("state", RunState.UNKNOWN))
                reason = message.get("reason")
                why = answers.words(reason) if reason else None
                self._emit(FollowEnded(name, run, state, *answers.end_of_log(message), why))

    def _with_link(self, action: Callable[[WorkerClient], Result], attempts: int) -> Result:
        """Do an idempotent action over the open connection, or over new ones while they are lost.

        A connection that held for `stable_s` clears the count of losses: hours over a poor link are fine.
        """
        losses = 0
        while True:
            opened = time.monotonic()
            try:
                return action(self._client or self._connect(""))
            except DeviceError as failure:
                losses = 1 if time.monotonic() - opened > self._parts.policy.stable_s else losses + 1
                if not self._worth_retrying(failure) or losses >= attempts or not self._may_seek():
                    raise
                self._disconnect()
                self._seek(failure)

    def _may_seek(self) -> bool:
        return not self._reached or self._device.recovery.reconnect_s_max > 0

    def _seek(self, failure: DeviceError) -> None:
        """Connect again, going on trying for a while; tell what it was good for."""
        rung = Rung.RECONNECT if self._reached else Rung.RETRY
        reason = str(failure.at(self._device.name, self._step))
        try:
            self._connect_at_last(rung)
        except DeviceError:
            self._emit(RungClimbed(self._device.name, rung, reason, succeeded=False))
            raise
        self._emit(RungClimbed(self._device.name, rung, reason, succeeded=True))

    def _connect_at_last(self, rung: Rung) -> None:
        import stamina  # only a link that was lost, or may be, is worth its import

        stamina.instrumentation.set_on_retry_hooks([])  # it would log what we report as a step

        recovery = self._device.recovery
        for attempt in stamina.retry_context(
            on=self._worth_retrying,
            attempts=recovery.retries if rung is Rung.RETRY else None,
            timeout=None if rung is Rung.RETRY else recovery.reconnect_s_max,
            wait_initial=0.2,
            wait_max=15.0,
        ):
            with attempt:
                self._connect(f"attempt {attempt.num + 1}")

    def _be_rescued(self, rung: Rung) -> None:
        self._begin(Step.RECOVER, rung.value)
        try:
            Rescuer(self._device, self._parts.connector, self._parts.switch, self._told_to_close).rescue(rung)
        except DeviceError as failure:
            self._emit(RungClimbed(self._device.name, rung, str(failure), succeeded=False))
            raise
        self._emit(RungClimbed(self._device.name, rung, "", succeeded=True))

    def _worth_retrying(self, failure: Exception) -> bool:
        return isinstance(failure, DeviceError) and failure.retryable and not self._closing

    def _connect(self, detail: str) -> WorkerClient:
        self._begin(Step.CONNECT, detail)
        transport = self._parts.connector.connect(self._device)
        with self._lock:
            self._transport = transport
            if self._closing:
                transport.close()
        self._begin(Step.START_WORKER)
        try:
            self._client = self._start_worker(transport)
        except DeviceError:
            self._disconnect()
            raise
        return self._client

    def _start_worker(self, transport: Transport) -> WorkerClient:
        try:
            return WorkerClient.open(transport, self._device, self._parts.worker)
        except BlobDamaged:  # the worker itself, shipped to a device for the first time
            return WorkerClient.open(transport, self._device, self._parts.worker)

    def _disconnect(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            transport, self._transport = self._transport, None
        if client is not None:
            client.close()
        if transport is not None:
            transport.close()

    def _begin(self, step: Step, detail: str = "") -> None:
        self._step = step
        self._emit(StepBegan(self._device.name, step, detail))


@dataclass(slots=True)
class _Seen:
    """The last record passed on."""

    log_id: str | None
    last_seq: int


def _amount(size: int) -> str:
    """Return a number of bytes as a step's detail says it; what is sent at all is never none."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size} B"


def _nobody(report: Report) -> None:
    raise AssertionError(f"nobody listens to {report}")
