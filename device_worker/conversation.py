"""Answer the controller's questions over one byte stream, one after the other."""

from __future__ import annotations

import os
import sys

from device_worker.claims import Claims
from device_worker.errors import WorkerError, from_os_error, is_disk_full
from device_worker.process_identity import read_boot_id
from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.messages import BadMessage, MessageReader, encode_message
from device_worker.protocol.vocabulary import ErrorKind, Message
from device_worker.state_dir import StateDir, is_sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.cache import Cache
    from device_worker.state_dir import RunDir

_CLAIM_BYTES = 64 << 10
"""More than the claim of one conversation takes."""


def serve(state_dir: str, worker_sha256: str) -> int:
    """Hold one conversation over standard input and output; standard output then carries nothing else."""
    out_fd = os.dup(1)
    os.dup2(2, 1)  # a stray print is a log line
    state = StateDir(state_dir)
    conversation = Conversation(state, worker_sha256, 0, out_fd)
    try:
        return conversation.hold()
    except BrokenPipeError:
        return 0
    finally:
        Claims(state.claims).release()


class Conversation:
    """One controller's conversation with one device."""

    def __init__(self, state: StateDir, worker_sha256: str, in_fd: int, out_fd: int) -> None:
        self._state = state
        self._worker_sha256 = worker_sha256
        self._in_fd = in_fd
        self._out_fd = out_fd
        self._reader = MessageReader(lambda size: os.read(in_fd, size))
        self._cache_bytes_max: int | None = None
        self._answers: dict[str, Callable[[dict[str, Any], bytes], None]] = {
            Message.FACTS: self._facts,
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
        """Greet, then answer until the controller ends its side; return the process's exit code."""
        from device_worker.state_guard import refusal_of

        refusal_of(self._state.path)  # made private at once; what stands against it, the facts say
        self._send(
            Message.HELLO,
            protocol=PROTOCOL_VERSION,
            worker_sha256=self._worker_sha256,
            pid=os.getpid(),
            boot_id=read_boot_id(),
            python=".".join(map(str, sys.version_info[:3])),
        )
        while True:
            try:
                message, payload = self._reader.read_message()
                if message is None:
                    return 0
                self._answer(message, payload)
            except BadMessage as error:  # where the next message begins is anybody's guess
                self._send(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=str(error))
                return 1

    def _answer(self, message: dict[str, Any], payload: bytes) -> None:
        try:
            answer = self._answers.get(message["type"])
            if answer is None:
                raise WorkerError(ErrorKind.BAD_REQUEST, f"no such message: {message['type'][:80]!r}")
            answer(message, payload)
        except WorkerError as error:
            self._send(Message.ERROR, **error.to_fields())
        except (BadMessage, BrokenPipeError):
            raise
        except OSError as error:
            self._send(Message.ERROR, **from_os_error(error).to_fields())
        except Exception as error:  # noqa: BLE001 the border: the controller is told, and asks on
            import traceback

            traceback.print_exc()
            self._send(Message.ERROR, kind=ErrorKind.WORKER_FAILED, message=f"{message['type']}: {error!r}")

    def _send(self, message_type: str, payload: bytes = b"", **fields: Any) -> None:
        data = memoryview(encode_message(dict(fields, type=message_type), payload))
        while data:
            data = data[os.write(self._out_fd, data) :]

    def _facts(self, _message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.facts import collect_facts

        self._send(Message.FACTS, facts=collect_facts(self._state.path))

    def _blobs(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.blobs import BlobStore
        from device_worker.cache import Cache

        self._make_state_dir()
        blobs, cache = BlobStore(self._state.blobs), Cache(self._state)
        wanted = [_blob_of(blob) for blob in _field(message, "blobs", list)]
        self._cache_bytes_max = _cap_of(message)
        with cache.locked():
            _claim(cache, [sha256 for sha256, _size in wanted])
            lacking = [(sha256, size) for sha256, size in wanted if not blobs.has(sha256, size)]
            arrived = {sha256: blobs.arrived_bytes(sha256, size) for sha256, size in lacking}
            needed = sum(size - arrived[sha256] for sha256, size in lacking)
            removed = cache.make_room(needed, self._cache_bytes_max)
        missing = [{"sha256": sha256, "offset": offset} for sha256, offset in arrived.items()]
        self._send(Message.BLOBS, missing=missing, free_bytes=blobs.free_bytes(), removed_bytes=removed)

    def _blob_put(self, message: dict[str, Any], payload: bytes) -> None:
        from device_worker.blobs import BlobStore

        self._make_state_dir()
        sha256, size = _blob_of(message)
        complete = BlobStore(self._state.blobs).put(sha256, size, _field(message, "offset", int), payload)
        self._send(Message.BLOB_PUT, sha256=sha256, complete=complete)

    def _start(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.leases import Lease
        from device_worker.runner_start import StartRequest, start_run

        plan_sha256 = _field(message, "plan_sha256", str)
        if not is_sha256(plan_sha256):
            raise WorkerError(ErrorKind.BAD_REQUEST, f"plan_sha256 is {plan_sha256[:80]!r}")
        skip = _field(message, "skip", list)
        if not all(isinstance(trial, str) for trial in skip):
            raise WorkerError(ErrorKind.BAD_REQUEST, "skip is not a list of trials")
        lease = Lease.parse(message.get("lease"))
        self._make_state_dir()
        request = StartRequest(plan_sha256, skip, self._worker_sha256, lease, self._cache_bytes_max)
        self._send(Message.START, **start_run(self._state, self._run_dir(message), request))

    def _status(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.runs import RunStatus

        self._send(Message.STATUS, **RunStatus(self._run_dir(message)).to_fields())

    def _follow(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.following import Control, Following, check_follow

        run_dir = self._run_dir(message)
        after_seq, heartbeat_s = check_follow(message.get("after_seq"), message.get("heartbeat_s"))
        control = Control(self._in_fd, lambda: self._reader.buffered, lambda: self._listen_while_following(run_dir))
        Following(run_dir, self._send, heartbeat_s).follow(message.get("log_id"), after_seq, control)

    def _listen_while_following(self, run_dir: RunDir) -> bool:
        """Take one message of a controller that follows: it may cancel, or be gone (False)."""
        from device_worker.runs import request_cancel

        message, _payload = self._reader.read_message()
        if message is None:
            return False
        if message["type"] == Message.CANCEL and message.get("run") == run_dir.run:
            request_cancel(run_dir)
        else:
            refused = f"{message['type'][:80]!r} while following {run_dir.run}"
            self._send(Message.ERROR, kind=ErrorKind.BAD_REQUEST, message=refused)
        return True

    def _cancel(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.runs import RunStatus, request_cancel, wait_until_stopped

        run_dir = self._run_dir(message)
        request_cancel(run_dir)
        wait_until_stopped(run_dir)
        self._send(Message.CANCEL, state=RunStatus(run_dir).state)

    def _forget(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.runs import forget

        forgotten = forget(self._run_dir(message), message.get("log_id"), message.get("last_seq"))
        self._send(Message.FORGET, forgotten=forgotten)

    def _stock(self, _message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.cleaning import take_stock

        self._send(Message.STOCK, runs=take_stock(self._state))

    def _clean(self, message: dict[str, Any], _payload: bytes) -> None:
        from device_worker.cleaning import Order, clean

        runs = {}
        for run in _field(message, "runs", list):
            if not isinstance(run, dict):
                raise WorkerError(ErrorKind.BAD_REQUEST, f"clean: not a run: {str(run)[:80]!r}")
            runs[self._run_dir(run).run] = (run.get("log_id"), run.get("last_seq"))
        order = Order(_field(message, "cache", bool), runs, _field(message, "dry_run", bool))
        self._state.make()
        outcome = clean(self._state, order, self._worker_sha256)
        self._send(Message.CLEAN, removed=outcome.removed, kept=outcome.kept)

    def _make_state_dir(self) -> None:
        """Make the folders, or refuse: what would be lost there is not begun; what lies there can still be fetched."""
        from device_worker.state_guard import accept_state_dir

        accept_state_dir(self._state.path)
        self._state.make()

    def _run_dir(self, message: dict[str, Any]) -> RunDir:
        return self._state.run_dir(message.get("run"))


def _claim(cache: Cache, sha256s: list[str]) -> None:
    """Claim blobs; on a disk so full that it has no room even for that, make some first."""
    try:
        cache.claim(sha256s)
    except OSError as error:
        if not is_disk_full(error) or not cache.make_room(_CLAIM_BYTES, None):
            raise
        cache.claim(sha256s)


def _field(message: dict[str, Any], name: str, kind: type) -> Any:
    value = message.get(name)
    if type(value) is not kind:
        raise WorkerError(ErrorKind.BAD_REQUEST, f"{message['type']}: {name} is {str(value)[:80]!r}")
    return value


def _cap_of(message: dict[str, Any]) -> int | None:
    """Return how large the cache may grow; a controller that does not say leaves it to the disk."""
    cap = message.get("cache_bytes_max")
    if cap is not None and (type(cap) is not int or cap < 1):
        raise WorkerError(ErrorKind.BAD_REQUEST, f"blobs: cache_bytes_max is {str(cap)[:80]!r}")
    return cap


def _blob_of(value: Any) -> tuple[str, int]:
    """Return the SHA-256 and size that a message names."""
    sha256, size = (value.get("sha256"), value.get("size")) if isinstance(value, dict) else (None, None)
    if not is_sha256(sha256) or type(size) is not int or size < 0:
        raise WorkerError(ErrorKind.BAD_REQUEST, f"not a blob: {str(value)[:120]}")
    return str(sha256), size
