"""Speak the controller's side of docs/worker-protocol.md over a byte stream.

Every method raises LinkLost if the stream ends or brings no whole answer in time, and the matching DeviceError if the
worker answers with an error. All requests are idempotent, so that a session may reconnect and ask again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.messages import BadMessage, MessageReader, encode_message
from device_worker.protocol.vocabulary import ErrorKind, Message
from orchestrator.domain.blob import Blob
from orchestrator.domain.conversation import SpentRetries
from orchestrator.domain.device import Device
from orchestrator.domain.errors import (
    BlobDamaged,
    DeviceBusy,
    DeviceDiskFull,
    DeviceError,
    LinkLost,
    NoPython,
    StaleLease,
    SurvivorLeft,
    WorkerFailed,
)
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import StartLease
from orchestrator.session import answers
from orchestrator.session.compiled_worker import MAGIC, compiled_modules
from orchestrator.session.start_failures import explain_start, too_much_printed
from orchestrator.session.start_line import start_line
from orchestrator.session.waiting import AnswerTime, RecordTime
from orchestrator.transport.base import Stream, Transport

START_TIMEOUT_S = 60.0
_CLOCK_ROUNDS = 8
ANSWER_TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 180.0
CHUNK_BYTES = 4 << 20
READ_BYTES = 64 << 10
LOADER_PREFIX = b"benchfleet-loader "
BANNER_BYTES_MAX = 64 << 10
PRINTED_BYTES_MAX = 4 << 10
PYTHON_OLDEST = (3, 7)
SILENT_HEARTBEATS_MAX = 3  # a single late heartbeat is no lost link

ERRORS: dict[str, type[DeviceError]] = {
    # All other kinds, and kinds of a newer worker, are WorkerFailed.
    ErrorKind.DISK_FULL: DeviceDiskFull,
    ErrorKind.DEVICE_BUSY: DeviceBusy,
    ErrorKind.STALE_LEASE: StaleLease,
    ErrorKind.SURVIVOR: SurvivorLeft,
    ErrorKind.BLOB_CORRUPT: BlobDamaged,
}
HINTS: dict[str, str] = {
    ErrorKind.DISK_FULL: "free space on the device, or set its state_dir to a larger file system in the inventory",
    ErrorKind.DEVICE_BUSY: "wait for the other run to end, or cancel it: benchfleet runs cancel RUN",
    ErrorKind.STATE_DIR: "set state_dir in the inventory to a folder that the device's user may write",
    ErrorKind.PROTOCOL_MISMATCH: "the run was begun by another version of benchfleet: resume it with that version",
}


@dataclass(frozen=True, slots=True)
class WorkerProgram:
    """The worker to ship: the zip archive, the archive's SHA-256, and the source text of the loader."""

    archive: bytes
    sha256: str
    loader: str


@dataclass(frozen=True, slots=True)
class Started:
    """The device's answer to `start`: the run's state and the id of its log."""

    state: str
    log_id: str


class ReadAhead:
    """A stream that can be read by lines and by bytes. Bytes received behind a line are kept for the next read."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead = b""
        self.write = stream.write
        self.end = stream.end

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Return the next bytes, at most `size`, or b"" at the end of the stream."""
        if not self._ahead:
            return self._stream.read(size, timeout_s)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def read_line(self, bytes_max: int, time: AnswerTime) -> bytes:
        """Return the next line, or b"" at the end.

        A line longer than `bytes_max` comes in pieces without a newline, and so does what stands behind the last one.
        """
        line = b""
        while len(line) < bytes_max and not line.endswith(b"\n"):
            piece = time.read(self.read, READ_BYTES)
            if not piece:
                break
            end = piece.find(b"\n") + 1 or len(piece)
            line += piece[:end]
            self._ahead = piece[end:] + self._ahead
        return line


class WorkerClient:
    """A conversation with a worker. Made by `open`. Not safe for concurrent requests."""

    def __init__(self, stream: ReadAhead, sha256: str) -> None:
        self.worker_sha256 = sha256
        self._stream = stream
        self._time = AnswerTime(ANSWER_TIMEOUT_S)
        self._reader = MessageReader(self._read)

    @classmethod
    def open(cls, transport: Transport, device: Device, worker: WorkerProgram) -> WorkerClient:
        """Start the worker on the device and wait for the greeting. A missing worker is shipped first.

        Raise NoPython, WorkerFailed, LinkLost, or the matching DeviceError of a loader's error.
        """
        python = device.interpreter
        size = str(len(worker.archive))
        argv = start_line(python, worker.loader, (device.state_dir, worker.sha256, size))
        stream = ReadAhead(transport.stream(argv))
        try:
            answer = _read_loader_line(stream, python)
            _check_loader(answer, python)
            is_new = not answer.get("have")
            if is_new:
                stream.write(worker.archive)
                _check_loader(_read_loader_line(stream, python), python)
            client = cls(stream, worker.sha256)
            hello = client._expect_hello()
            if is_new and hello.get("bytecode") == MAGIC:
                client._send_bytecode(worker.archive)
        except BaseException:  # nobody else knows the stream yet
            stream.end()
            raise
        return client

    def facts(self) -> Facts:
        """Return the facts of the device."""
        values = self._ask({"type": Message.FACTS})[0].get("facts")
        if not isinstance(values, dict):
            raise WorkerFailed("the worker's facts are not an object")
        return Facts(values)

    def compare_clocks(self) -> Sequence[tuple[int, int, int]]:
        """Ask for the device's monotonic time a few times. Return times of question, device and answer, in ns.

        An older worker knows no such question: the answer is then empty.
        """
        rounds = []
        for _ in range(_CLOCK_ROUNDS):
            asked = time.time_ns()
            try:
                mono_ns = self._ask({"type": Message.CLOCK})[0].get("mono_ns")
            except WorkerFailed:
                return ()
            answered = time.time_ns()
            if not isinstance(mono_ns, int) or isinstance(mono_ns, bool):
                return ()
            rounds.append((asked, mono_ns, answered))
        return rounds

    def missing_blobs(self, blobs: Sequence[Blob], cache_bytes_max: int) -> dict[str, int]:
        """Return the offset in bytes from which to upload each blob that the device lacks, by SHA-256.

        The device removes unneeded blobs to make room, and to keep its cache below `cache_bytes_max`.
        """
        wanted = [{"sha256": blob.sha256, "size": blob.size} for blob in blobs]
        question = {"type": Message.BLOBS, "blobs": wanted, "cache_bytes_max": cache_bytes_max}
        return answers.offsets(self.ask(question, UPLOAD_TIMEOUT_S), blobs)

    def upload(self, blob: Blob, path: Path, offset: int, on_bytes: Callable[[int], None]) -> None:
        """Send a blob from `offset` on, in chunks, and call `on_bytes` with the size of each chunk.

        Raise DeviceDiskFull, or BlobDamaged if the complete file has another SHA-256.
        """
        with path.open("rb") as file:
            file.seek(offset)
            while True:
                chunk = file.read(CHUNK_BYTES)
                header = {"type": Message.BLOB_PUT, "sha256": blob.sha256, "size": blob.size, "offset": offset}
                try:
                    answer, _ = self._ask(header, chunk, UPLOAD_TIMEOUT_S)
                except (DeviceDiskFull, BlobDamaged) as error:  # the device knows files by their hash, people by name
                    raise type(error)(error.message.replace(blob.sha256, blob.name), error.hint) from error
                offset += len(chunk)
                on_bytes(len(chunk))
                if answer.get("complete"):
                    return
                if not chunk:  # all bytes are sent, and the device still waits for more
                    raise WorkerFailed(f"the device does not accept {blob.name} as whole")

    def start(
        self,
        run: str,
        plan_sha256: str,
        skip: Sequence[str],
        lease: StartLease | None = None,
        *,
        exclusive: bool,
        spent: Sequence[SpentRetries] = (),
    ) -> Started:
        """Start a plan on the device, but for the trials in `skip`. A run that is running already goes on.

        `spent` are the retries that trials have taken in logs of before.

        `exclusive`: no other runner may measure on the machine meanwhile. Raise DeviceBusy if another run holds the
        device or the machine, StaleLease if a newer lease has replaced `lease`, or SurvivorLeft if a process of an
        ended trial is still there.
        """
        question: dict[str, Any] = {
            "type": Message.START,
            "run": run,
            "plan_sha256": plan_sha256,
            "skip": list(skip),
            "lease": None if lease is None else asdict(lease),
            "exclusive": exclusive,
        }
        if spent:
            question["spent"] = _by_log(spent)
        # The long time-out: the device may first have to remove gigabytes of other bundles.
        answer = self._ask(question, timeout_s=UPLOAD_TIMEOUT_S)[0]
        return Started(answers.words(answer.get("state")), answers.log_id(answer))

    def follow(
        self, run: str, log_id: str | None, after_seq: int, heartbeat_s: float, patience: RecordTime
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield each `records` message with its payload, and `follow-ended` as the last message.

        `after_seq` is the last known record of log `log_id`. Three heartbeats without a whole message are a lost link.
        Raise NoProgress once `patience` is at its end.
        """
        patience.check()
        question = {"run": run, "log_id": log_id, "after_seq": after_seq, "heartbeat_s": heartbeat_s}
        self._stream.write(encode_message({"type": Message.FOLLOW, **question}))
        while True:
            self._time = AnswerTime(heartbeat_s * SILENT_HEARTBEATS_MAX)
            try:
                message, payload = self._receive()
            finally:  # a link that is lost was waited for as well
                patience.note_wait(self._time.waited_s)
            if message["type"] == Message.ALIVE:
                patience.note_sign()
                continue
            yield message, payload
            if message["type"] == Message.FOLLOW_ENDED:
                return

    def cancel(self, run: str, *, between_trials: bool = False) -> str:
        """Cancel a run, and return the run's state on the device afterwards.

        `between_trials`: the present trial ends as usual, and the runner stops before the next.
        """
        question = {"type": Message.CANCEL, "run": run, "between_trials": between_trials}
        return answers.words(self._ask(question)[0].get("state"))

    def status(self, run: str) -> dict[str, Any]:
        """Return `state`, `log_id` and `last_seq` of a run on the device."""
        return self._ask({"type": Message.STATUS, "run": run})[0]

    def forget(self, run: str, log_id: str, last_seq: int) -> bool:
        """Have the device delete a run whose whole log is in the database. Return True if the run is gone."""
        question = {"type": Message.FORGET, "run": run, "log_id": log_id, "last_seq": last_seq}
        return bool(self._ask(question)[0].get("forgotten"))

    def ask(self, question: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
        """Return the answer to a question. Neither question nor answer has a payload."""
        return self._ask(question, timeout_s=timeout_s)[0]

    def close(self) -> None:
        """End the worker by closing its input. A runner goes on."""
        self._stream.end()

    def _send_bytecode(self, archive: bytes) -> None:
        """Spare a device with the bytecode of this Python the compiling of a worker that was just shipped."""
        modules, packed = compiled_modules(archive)
        self._ask({"type": Message.BYTECODE, "modules": modules}, packed, UPLOAD_TIMEOUT_S)

    def _expect_hello(self) -> dict[str, Any]:
        self._time = AnswerTime(START_TIMEOUT_S)
        message, _ = self._receive()
        if message["type"] != Message.HELLO or message.get("protocol") != PROTOCOL_VERSION:
            said = answers.words(message.get("protocol"))
            raise WorkerFailed(f"the worker speaks protocol {said}, not {PROTOCOL_VERSION}")
        return message

    def _ask(
        self, message: dict[str, Any], payload: bytes = b"", timeout_s: float = ANSWER_TIMEOUT_S
    ) -> tuple[dict[str, Any], bytes]:
        self._stream.write(encode_message(message, payload))
        self._time = AnswerTime(timeout_s)
        answer, data = self._receive()
        if answer["type"] != message["type"]:
            raise WorkerFailed(f"the worker answered {message['type']} with {answers.words(answer['type'])}")
        return answer, data

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        try:
            message, payload = self._reader.read_message()
        except BadMessage as error:
            raise self._ended(answers.words(error)) from error
        if message is None:
            raise self._ended("the worker ended")
        if message["type"] == Message.ERROR:
            kind = str(message.get("kind"))
            text, hint = answers.words(message.get("message")), message.get("hint")
            raise ERRORS.get(kind, WorkerFailed)(
                text, answers.words(hint) if isinstance(hint, str) else HINTS.get(kind)
            )
        return message, payload

    def _ended(self, what: str) -> DeviceError:
        """Return the error of a stream that has ended: WorkerFailed if the worker has failed, otherwise LinkLost."""
        # A failed worker writes the reason to its standard error. After a cut link there is no text.
        completed = self._stream.end()
        words = _last_line(completed.stderr)
        if words and completed.exit_status > 0:
            return WorkerFailed(f"{what}: {words}")
        return LinkLost(what, "the device goes on by itself; benchfleet reconnects, or resume the run later")

    def _read(self, size: int) -> bytes:
        return self._time.read(self._stream.read, size)


def _read_loader_line(stream: ReadAhead, python: str) -> dict[str, Any]:
    """Skip the output of login scripts and return the loader's line."""
    left, time = BANNER_BYTES_MAX, AnswerTime(START_TIMEOUT_S)  # a login script may print without end
    printed = b""
    while left > 0:
        line = stream.read_line(left, time)
        if not line:
            raise explain_start(stream.end(), python, printed)
        if line.startswith(LOADER_PREFIX) and line.endswith(b"\n"):
            return answers.loader_answer(line[len(LOADER_PREFIX) :])
        printed = (printed + line)[-PRINTED_BYTES_MAX:]
        left -= len(line)
    raise too_much_printed()


def _check_loader(answer: dict[str, Any], python: str) -> None:
    version = answers.words(answer.get("python", "0"))
    if answers.python_version(version) < PYTHON_OLDEST:
        raise NoPython(
            f"{python} on the device is Python {version}; the worker needs 3.7 or newer",
            "install a newer Python there, or set python: to its path in the inventory",
        )
    kind = answer.get("error")
    if kind:
        message = answers.words(answer.get("message", kind))
        raise ERRORS.get(str(kind), WorkerFailed)(message, HINTS.get(str(kind)))


def _last_line(stderr: bytes) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return answers.words(lines[-1])[:300] if lines else ""


def _by_log(spent: Sequence[SpentRetries]) -> dict[str, dict[str, dict[str, int]]]:
    found: dict[str, dict[str, dict[str, int]]] = {}
    for one in spent:
        found.setdefault(one.log_id, {})[one.trial] = {"failed": one.failed, "invalid": one.invalid}
    return found
