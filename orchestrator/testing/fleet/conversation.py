"""Hold the conversation of one connection: the loader's line, the greeting, answers, and followed logs."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import math
import shlex
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.errors import WorkerError
from device_worker.protocol.fields import BadField, Fields, is_sha256
from device_worker.protocol.messages import MESSAGE_BYTES_MAX, BadMessage, MessageReader, encode_message
from device_worker.protocol.vocabulary import ErrorKind, LogState, Message
from orchestrator.testing.fleet.device import SimulatedDevice
from orchestrator.testing.fleet.made_up import BYTECODE, PYTHON, boot_id_of
from orchestrator.testing.fleet.runs import SimulatedRun

_WORKER_BYTES_MAX = 16 << 20
_RECORDS_MAX = 200
_HEARTBEAT_S_MAX = 3600
_MARK = "#benchfleet-loader"


class Wire(Protocol):
    """What a conversation writes to."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def cut(self) -> None:
        """Break the connection off, without a goodbye."""


class Hangup(Exception):
    """The controller has closed the stream, or the connection is gone."""


@dataclass(slots=True)
class Incoming:
    """Hold what has arrived. `wake` is called from the event loop alone."""

    buffer: bytearray = field(default_factory=bytearray)
    at_end: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def feed(self, data: bytes) -> None:
        """Take bytes of the controller."""
        self.buffer += data
        self._news.set()

    def end(self) -> None:
        """Note that nothing more will come."""
        self.at_end = True
        self._news.set()

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._news.set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return once something has come, somebody has called `wake`, or the time is over."""
        timer = None
        if timeout_s is not None:  # cheaper by far than a task for each wait
            timer = asyncio.get_running_loop().call_later(max(0.0, timeout_s), self._news.set)
        await self._news.wait()
        self._news.clear()
        if timer is not None:
            timer.cancel()

    def message(self) -> tuple[dict[str, Any], bytes] | None:
        """Return the next message with its payload, or None if none is whole yet. Raise BadMessage, or Hangup."""
        end = self.buffer.find(b"\n") + 1
        size = _payload_bytes(self.buffer[:end]) if end else 0
        whole = bool(end) and len(self.buffer) >= end + size
        if not whole and not self.at_end and (end or len(self.buffer) <= MESSAGE_BYTES_MAX):
            return None
        taken = bytes(self.buffer[: end + size]) if whole else bytes(self.buffer)
        message, payload = MessageReader(io.BytesIO(taken).read).read_message()
        if message is None:
            raise Hangup
        del self.buffer[: len(taken)]
        return message, payload

    async def next_message(self) -> tuple[dict[str, Any], bytes]:
        """Return the next message with its payload. Raise BadMessage, or Hangup."""
        while (found := self.message()) is None:
            await self.wait()
        return found

    async def take(self, size: int) -> bytes:
        """Return exactly so many bytes. Raise Hangup."""
        while len(self.buffer) < size:
            if self.at_end:
                raise Hangup
            await self.wait()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data


class Conversation:
    """Answer the controller over one connection to one device."""

    def __init__(self, device: SimulatedDevice, wire: Wire, incoming: Incoming) -> None:
        self._device = device
        self._wire = wire
        self._incoming = incoming
        self._worker_sha256 = ""
        # A fault is used up by one connection: the next one is sound, or has the next fault of the list.
        self._cut_behind = _next_fault(device.faults.drops, device, "drops")
        self._silent_behind = _next_fault(device.faults.silences, device, "silences")
        self._is_silent = False

    async def hold(self, command: str) -> int:
        """Start as the loader does, then answer until the controller hangs up. Return the exit code."""
        try:
            return await self._start_and_answer(command)
        except Hangup:
            return 0

    async def _start_and_answer(self, command: str) -> int:
        words = _words_of(command)
        if words is None:
            self._wire.write(b"a simulated device runs the worker alone\n")
            return 127
        state_dir, sha256, size = words
        self._device.state_dir, self._worker_sha256 = state_dir, sha256
        if not await self._load(state_dir, sha256, size):
            return 1
        self._say(
            Message.HELLO,
            protocol=PROTOCOL_VERSION,
            worker_sha256=sha256,
            pid=4710,
            boot_id=boot_id_of(self._device.name),
            python=PYTHON,
            bytecode=BYTECODE,
        )
        while True:
            try:
                await self._answer(*await self._incoming.next_message())
            except BadMessage as error:  # the begin of the next message cannot be found any more
                self._say(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=str(error))
                return 1

    async def _load(self, state_dir: str, sha256: str, size: int) -> bool:
        """Have the worker shipped, if this device has not this one. Return False if it arrived damaged."""
        said = {"python": PYTHON, "state_dir": state_dir}
        have = sha256 in self._device.workers
        self._print_loader_line(said, have=have)
        if have:
            return True
        data = await self._incoming.take(size)
        if hashlib.sha256(data).hexdigest() != sha256:
            self._print_loader_line(said, error="blob-corrupt", message="the worker's SHA-256 is another")
            return False
        self._device.workers.add(sha256)
        self._print_loader_line(said, have=True)
        return True

    def _print_loader_line(self, said: dict[str, Any], **fields: Any) -> None:
        self._write(("\nbenchfleet-loader " + json.dumps({**said, **fields}, sort_keys=True) + "\n").encode("ascii"))

    async def _answer(self, message: dict[str, Any], payload: bytes) -> None:
        try:
            if message["type"] == Message.FOLLOW:
                await self._follow(Fields(message, Message.FOLLOW))
            else:
                self._say(message["type"], **self._device.answer(message, payload, self._worker_sha256))
        except BadField as wrong:
            self._say(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=str(wrong))
        except WorkerError as error:
            self._say(Message.ERROR, **error.to_fields())

    async def _follow(self, fields: Fields) -> None:
        after_seq, heartbeat_s = fields.whole("after_seq"), fields.amount("heartbeat_s")
        if not 0 < heartbeat_s <= _HEARTBEAT_S_MAX:
            raise fields.refuse("heartbeat_s", f"expected more than 0 and at most {_HEARTBEAT_S_MAX} s")
        name, run = self._device.run_of(fields)
        if run is None:
            self._say(Message.FOLLOW_ENDED, state=LogState.UNKNOWN, log_id=None, last_seq=None, reason=None)
            return
        if fields.get("log_id") != run.log_id:
            after_seq = 0
        if run.last_seq < after_seq:
            words = f"the log ends at {run.last_seq}, but {after_seq} of its events have been followed already"
            raise WorkerError(ErrorKind.LOG_CORRUPT, words, "keep the log on the device and start a new run")
        self._device.followers.add(self._incoming.wake)
        try:
            await self._send_log(name, run, after_seq, heartbeat_s)
        finally:
            self._device.followers.discard(self._incoming.wake)

    async def _send_log(self, name: str, run: SimulatedRun, sent: int, heartbeat_s: float) -> None:
        """Send records as they come to be, until the runner has ended."""
        alive_at = time.monotonic() + heartbeat_s
        while True:
            now = time.monotonic()
            run.advance(now)
            if sent < run.last_seq:
                sent = self._send_records(run, sent)
                alive_at = now + heartbeat_s
                await asyncio.sleep(0)  # other connections, behind each message of a long log
                continue
            if run.state != LogState.RUNNING:
                break
            if now >= alive_at:
                self._say(Message.ALIVE)
                alive_at = now + heartbeat_s
            self._listen_while_following(name, run)
            await self._incoming.wait(min(alive_at, run.due_at) - now)
        self._say(Message.FOLLOW_ENDED, state=run.state, log_id=run.log_id, last_seq=run.last_seq, reason=run.reason)

    def _send_records(self, run: SimulatedRun, sent: int) -> int:
        lines = run.lines(sent, _RECORDS_MAX)
        last = sent + len(lines)
        self._say(Message.RECORDS, b"".join(lines), log_id=run.log_id, first_seq=sent + 1, last_seq=last)
        if last >= self._cut_behind:
            self._wire.cut()
            raise Hangup
        self._is_silent = last >= self._silent_behind
        return last

    def _listen_while_following(self, name: str, run: SimulatedRun) -> None:
        """Take messages that have arrived: `cancel` of the followed run is carried out, anything else refused."""
        while (found := self._incoming.message()) is not None:
            message, _payload = found
            if message["type"] == Message.CANCEL and message.get("run") == name:
                run.cancel(time.monotonic(), between_trials=bool(message.get("between_trials")))
                self._device.wake()
            else:
                refused = f"{message['type'][:80]!r} while following {name}"
                self._say(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=refused)

    def _say(self, message_type: str, payload: bytes = b"", **fields: Any) -> None:
        self._write(encode_message(dict(fields, type=message_type), payload))

    def _write(self, data: bytes) -> None:
        if not self._is_silent:
            self._wire.write(data)


def _payload_bytes(line: bytearray) -> int:
    """Return how many bytes follow a header line, 0 where the line is none: the reader will say so."""
    if b'"payload_bytes"' not in line:  # nearly all lines: parsed once then
        return 0
    try:
        size = json.loads(line).get("payload_bytes", 0)
    except (ValueError, RecursionError, AttributeError):
        return 0
    return size if type(size) is int and size > 0 else 0


def _words_of(command: str) -> tuple[str, str, int] | None:
    """Return state folder, SHA-256 and size of the worker that a command starts, or None for another command."""
    try:
        words = shlex.split(command)
        at = next(index for index, word in enumerate(words) if _MARK in word) + 1
        state_dir, sha256, size = words[at], words[at + 1], int(words[at + 2])
    except (ValueError, StopIteration, IndexError):
        return None
    return (state_dir, sha256, size) if is_sha256(sha256) and 0 < size <= _WORKER_BYTES_MAX else None


def _next_fault(numbers: tuple[int, ...], device: SimulatedDevice, kind: str) -> float:
    """Return the number of the record behind which this connection fails, infinity for a sound one."""
    used = device.faults_used.get(kind, 0)
    device.faults_used[kind] = used + 1
    return numbers[used] if used < len(numbers) else math.inf
