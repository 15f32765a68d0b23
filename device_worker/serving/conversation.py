"""Answer a controller's messages over a byte stream, in order."""

from __future__ import annotations

import os
import sys
import time

from device_worker.bytecode import MAGIC_NUMBER
from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.errors import WorkerError, from_os_error, is_disk_full
from device_worker.protocol.fields import BadField, Fields
from device_worker.protocol.messages import BadMessage, MessageReader, encode_message
from device_worker.protocol.vocabulary import ErrorKind, Message
from device_worker.state.claims import Claims
from device_worker.state.state_dir import StateDir
from device_worker.system.process_identity import read_boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.state.cache import Cache
    from device_worker.state.state_dir import RunDir

_CLAIM_BYTES = 64 << 10
"""More than the file of a conversation's claims takes."""


def serve(state_dir: str, worker_sha256: str) -> int:
    """Hold a conversation over standard input and output, and return the exit code of the process."""
    out_fd = os.dup(1)
    os.dup2(2, 1)  # standard output belongs to the protocol: a stray print goes to standard error instead
    state = StateDir(state_dir)
    conversation = Conversation(state, worker_sha256, 0, out_fd)
    try:
        return conversation.hold()
    except BrokenPipeError:  # the controller has closed the connection, which is a way to end a conversation
        return 0
    finally:
        Claims(state.claims).release()


class Conversation:
    """A controller's conversation with a device."""

    def __init__(self, state: StateDir, worker_sha256: str, in_fd: int, out_fd: int) -> None:
        self._state = state
        self._worker_sha256 = worker_sha256
        self._in_fd = in_fd
        self._out_fd = out_fd
        self._reader = MessageReader(lambda size: os.read(in_fd, size))
        self._cache_bytes_max: int | None = None
        self._answers: dict[str, Callable[[Fields, bytes], None]] = {
            Message.BYTECODE: self._bytecode,
            Message.FACTS: self._facts,
            Message.CLOCK: self._clock,
            Message.BLOBS: self._blobs,
            Message.BLOB_PUT: self._blob_put,
            Message.START: self._start,
            Message.STATUS: self._status,
            Message.FOLLOW: self._follow,
            Message.CANCEL: self._cancel,
            Message.FORGET: self._forget,
            Message.STOCK: self._stock,
            Message.CLEAN: self._clean,
        }

    def hold(self) -> int:
        """Send the greeting, then answer messages until the controller closes the stream. Return the exit code."""
        from device_worker.state.state_guard import refusal_of

        # Make the folder private now. A problem is not raised here: `facts` reports it.
        refusal_of(self._state.path)
        if os.path.exists(self._state.governor):  # a runner lives, or was killed
            from device_worker.sensing.governor_hold import undo_if_alone

            undo_if_alone(self._state)
        self._send(
            Message.HELLO,
            protocol=PROTOCOL_VERSION,
            worker_sha256=self._worker_sha256,
            pid=os.getpid(),
            boot_id=read_boot_id(),
            python=".".join(map(str, sys.version_info[:3])),
            bytecode=MAGIC_NUMBER.hex(),
        )
        while True:
            try:
                message, payload = self._reader.read_message()
                if message is None:
                    return 0
                self._answer(message, payload)
            except BadMessage as error:  # the begin of the next message cannot be found any more
                self._send(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=str(error))
                return 1

    def _answer(self, message: dict[str, Any], payload: bytes) -> None:
        try:
            answer = self._answers.get(message["type"])
            if answer is None:
                raise WorkerError(ErrorKind.BAD_REQUEST, f"no such message: {message['type'][:80]!r}")
            answer(Fields(message, message["type"]), payload)
        except BadField as wrong:
            self._send(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=str(wrong))
        except WorkerError as error:
            self._send(Message.ERROR, **error.to_fields())
        except (BadMessage, BrokenPipeError):
            raise
        except OSError as error:
            self._send(Message.ERROR, **from_os_error(error).to_fields())
        except Exception as error:  # noqa: BLE001 the border: a bug in one answer must not end the conversation
            import traceback

            traceback.print_exc()
            self._send(Message.ERROR, kind=ErrorKind.WORKER_FAILED, message=f"{message['type']}: {error!r}")

    def _send(self, message_type: str, payload: bytes = b"", **fields: Any) -> None:
        data = memoryview(encode_message(dict(fields, type=message_type), payload))
        while data:
            data = data[os.write(self._out_fd, data) :]

    def _bytecode(self, message: Fields, payload: bytes) -> None:
        from device_worker.serving.compiled import keep_compiled

        home = os.path.join(self._state.worker, self._worker_sha256)
        self._send(Message.BYTECODE, modules=keep_compiled(home, message, payload))

    def _facts(self, _message: Fields, _payload: bytes) -> None:
        from device_worker.serving.facts import collect_facts

        self._send(Message.FACTS, facts=collect_facts(self._state.path))

    def _clock(self, _message: Fields, _payload: bytes) -> None:
        """Tell the time at once: the controller compares clocks by how long question and answer took."""
        self._send(Message.CLOCK, mono_ns=time.monotonic_ns(), unix_ns=time.time_ns())

    def _blobs(self, message: Fields, _payload: bytes) -> None:
        from device_worker.state.blobs import BlobStore
        from device_worker.state.cache import Cache

        self._make_state_dir()
        blobs, cache = BlobStore(self._state.blobs), Cache(self._state)
        wanted = [(blob.sha256("sha256"), blob.whole("size")) for blob in message.sections("blobs")]
        self._cache_bytes_max = _cap_of(message)
        with cache.locked():
            _claim(cache, [sha256 for sha256, _size in wanted])
            lacking = [(sha256, size) for sha256, size in wanted if not blobs.has(sha256, size)]
            arrived = {sha256: blobs.arrived_bytes(sha256, size) for sha256, size in lacking}
            needed = sum(size - arrived[sha256] for sha256, size in lacking)
            removed = cache.make_room(needed, self._cache_bytes_max)
        missing = [{"sha256": sha256, "offset": offset} for sha256, offset in arrived.items()]
        self._send(Message.BLOBS, missing=missing, free_bytes=blobs.free_bytes(), removed_bytes=removed)

    def _blob_put(self, message: Fields, payload: bytes) -> None:
        from device_worker.state.blobs import BlobStore

        self._make_state_dir()
        sha256, size, offset = message.sha256("sha256"), message.whole("size"), message.whole("offset")
        complete = BlobStore(self._state.blobs).put(sha256, size, offset, payload)
        self._send(Message.BLOB_PUT, sha256=sha256, complete=complete)

    def _start(self, message: Fields, _payload: bytes) -> None:
        from device_worker.protocol.start import StartOrder
        from device_worker.runner.start import start_run

        request = StartOrder(message, self._worker_sha256, self._cache_bytes_max)
        self._make_state_dir()
        self._send(Message.START, **start_run(self._state, self._run_dir(message), request))

    def _status(self, message: Fields, _payload: bytes) -> None:
        from device_worker.state.runs import RunStatus

        self._send(Message.STATUS, **RunStatus(self._run_dir(message)).to_fields())

    def _follow(self, message: Fields, _payload: bytes) -> None:
        from device_worker.serving.following import Control, Following, take_follow

        run_dir = self._run_dir(message)
        after_seq, heartbeat_s = take_follow(message)
        control = Control(self._in_fd, lambda: self._reader.buffered, lambda: self._listen_while_following(run_dir))
        Following(run_dir, self._send, heartbeat_s).follow(message.get("log_id"), after_seq, control)

    def _listen_while_following(self, run_dir: RunDir) -> bool:
        """Take a message of the following controller, and return False if the controller has closed the stream.

        `cancel` of the followed run is carried out. Any other message is refused.
        """
        from device_worker.state.runs import request_cancel

        message, _payload = self._reader.read_message()
        if message is None:
            return False
        if message["type"] == Message.CANCEL and message.get("run") == run_dir.run:
            request_cancel(run_dir, bool(message.get("between_trials")))
        else:
            refused = f"{message['type'][:80]!r} while following {run_dir.run}"
            self._send(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=refused)
        return True

    def _cancel(self, message: Fields, _payload: bytes) -> None:
        from device_worker.state.runs import RunStatus, request_cancel, wait_until_stopped

        run_dir, between_trials = self._run_dir(message), bool(message.get("between_trials"))
        request_cancel(run_dir, between_trials)
        if not between_trials:
            wait_until_stopped(run_dir)
        self._send(Message.CANCEL, state=RunStatus(run_dir).state)

    def _forget(self, message: Fields, _payload: bytes) -> None:
        from device_worker.state.runs import forget

        forgotten = forget(self._run_dir(message), message.get("log_id"), message.get("last_seq"))
        self._send(Message.FORGET, forgotten=forgotten)

    def _stock(self, _message: Fields, _payload: bytes) -> None:
        from device_worker.serving.cleaning import take_stock

        self._send(Message.STOCK, runs=take_stock(self._state))

    def _clean(self, message: Fields, _payload: bytes) -> None:
        from device_worker.serving.cleaning import CleanOrder, clean

        runs = {}
        for run in message.sections("runs"):
            runs[self._run_dir(run).run] = (run.optional("log_id", run.text), run.optional("last_seq", run.whole))
        order = CleanOrder(message.flag("cache"), runs, message.flag("dry_run"))
        self._state.make()
        outcome = clean(self._state, order, self._worker_sha256)
        self._send(Message.CLEAN, removed=outcome.removed, kept=outcome.kept)

    def _make_state_dir(self) -> None:
        """Make the state folders, or raise WorkerError (STATE_DIR) if files there would not be private and durable."""
        from device_worker.state.state_guard import accept_state_dir

        accept_state_dir(self._state.path)
        self._state.make()

    def _run_dir(self, message: Fields) -> RunDir:
        return self._state.run_dir(message.get("run"))


def _claim(cache: Cache, sha256s: list[str]) -> None:
    """Claim blobs. If the disk has no room even for the claim's file, remove items of the cache first."""
    try:
        cache.claim(sha256s)
    except OSError as error:
        if not is_disk_full(error) or not cache.make_room(_CLAIM_BYTES, None):
            raise
        cache.claim(sha256s)


def _cap_of(message: Fields) -> int | None:
    """Return the limit of the cache in bytes, or None if the disk alone is the limit."""
    return message.optional("cache_bytes_max", lambda key: message.whole(key, 1))
