"""Send a run's records as the runner writes them, until the run ends or the controller leaves."""

from __future__ import annotations

import os
import select
import time

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind, Event, LogState, Message
from device_worker.state.log_reader import LogReader
from device_worker.state.runs import has_runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.protocol.fields import Fields
    from device_worker.state.log_reader import Batch
    from device_worker.state.state_dir import RunDir

    Send = Callable[..., None]

_HANG_UP_PAUSE_S = 0.01
_HEARTBEAT_S_MAX = 3600
_COMPANY_S = 0.05
"""How long a new record waits for the next, so that a trial's end and the next trial's begin share a message.

A message costs the controller most of a millisecond.
"""


class Control:
    """The controller's side while following.

    `fd` becomes readable with a new message, and `is_waiting` tells of a message that is buffered already. `handle`
    takes a message, and returns False once the controller has closed the stream.
    """

    __slots__ = ("fd", "handle", "is_waiting")

    def __init__(self, fd: int, is_waiting: Callable[[], bool], handle: Callable[[], bool]) -> None:
        self.fd = fd
        self.is_waiting = is_waiting
        self.handle = handle


class Following:
    """The answer to a `follow`: send the records of a run's log, old and new.

    The runner writes a byte to the run's fifo after each record, and the fifo hangs up when the runner ends, even if
    killed. Of two followers of the same run, a wake-up reaches only one. The other reads the new records at the next
    heartbeat.
    """

    def __init__(self, run_dir: RunDir, send: Send, heartbeat_s: float) -> None:
        self._run_dir = run_dir
        self._send = send
        self._heartbeat_s = heartbeat_s
        self._log_fd: int | None = None
        self._wake_fd: int | None = None
        self._reader: LogReader | None = None
        self._after_seq = 0

    def follow(self, log_id: object, after_seq: int, control: Control) -> None:
        """Send the records of log `log_id` after number `after_seq`, until the run ends or the controller leaves.

        A log with another id is sent from the first record. `follow-ended` is the last message if the run ends. Raise
        WorkerError (LOG_CORRUPT) if the log is shorter than `after_seq`.
        """
        try:
            while True:
                # Before the reading of the log: a runner that ends in between has written its last record already.
                is_running = has_runner(self._run_dir)
                if self._reader is None:
                    self._open(log_id, after_seq)
                self._send_records()
                self._check_position()
                if not is_running:
                    break
                if not self._wait(control):
                    return
            ended = {"log_id": self._log_id(), "last_seq": self._last_seq(), "reason": self._reason()}
            self._send(Message.FOLLOW_ENDED, state=self._state(), **ended)
        finally:
            for fd in (self._log_fd, self._wake_fd):
                if fd is not None:
                    os.close(fd)

    def _open(self, log_id: object, after_seq: int) -> None:
        """Open the fifo and the log, or leave both for later if a starting run has not made them yet."""
        try:
            # The fifo first: a record written after the log was opened then wakes us.
            if self._wake_fd is None:
                self._wake_fd = os.open(self._run_dir.wake, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._log_fd = os.open(self._run_dir.log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._reader = LogReader(self._log_fd)
        first = self._reader.read_batch()
        if first is None or self._reader.log_id != log_id:
            after_seq = 0
        self._after_seq = after_seq
        if first is not None:
            self._send_batch(first)

    def _send_records(self) -> None:
        while self._reader is not None:
            batch = self._reader.read_batch()
            if batch is None:
                return
            self._send_batch(batch)

    def _send_batch(self, batch: Batch) -> None:
        fresh = batch.after(self._after_seq)
        if fresh is None or self._log_fd is None:
            return
        # The runner may not have synced the last record yet. A power cut must not undo a record that was sent, since
        # the controller commits the record and asks only for later records.
        os.fdatasync(self._log_fd)
        self._send(
            Message.RECORDS,
            payload=b"".join(fresh.lines),
            log_id=self._log_id(),
            first_seq=fresh.events[0]["seq"],
            last_seq=fresh.events[-1]["seq"],
        )

    def _check_position(self) -> None:
        """Raise WorkerError (LOG_CORRUPT) if the log ends before the last record of the controller."""
        last_seq = self._last_seq() or 0
        if last_seq < self._after_seq:
            message = f"the log ends at {last_seq}, but {self._after_seq} of its events have been followed already"
            raise WorkerError(ErrorKind.LOG_CORRUPT, message, "keep the log on the device and start a new run")

    def _wait(self, control: Control) -> bool:
        """Wait for a wake-up, a message or the next heartbeat. Return False once the controller has left."""
        if control.is_waiting():
            return control.handle()
        poll = select.poll()
        poll.register(control.fd, select.POLLIN)
        if self._wake_fd is not None:
            poll.register(self._wake_fd, select.POLLIN)
        ready = dict(poll.poll(self._heartbeat_s * 1000))
        if not ready:
            self._send(Message.ALIVE)
        if self._wake_fd in ready:
            if ready[self._wake_fd] & select.POLLIN:
                # Wait a little for the next record. A hang-up or a message ends the wait, a further record does not.
                poll.modify(self._wake_fd, 0)
                poll.poll(_COMPANY_S * 1000)
            self._drain(ready[self._wake_fd])
        return control.fd not in ready or control.handle()

    def _drain(self, event: int) -> None:
        if not event & select.POLLIN:  # hung up: the runner's process ends now, and a poll would return at once
            time.sleep(_HANG_UP_PAUSE_S)
        elif self._wake_fd is not None:
            try:
                os.read(self._wake_fd, 65536)
            except BlockingIOError:  # another follower has read the byte
                pass

    def _last_event(self) -> dict[str, Any]:
        return {} if self._reader is None else self._reader.last_event or {}

    def _state(self) -> str:
        if self._reader is None:
            return LogState.UNKNOWN
        return LogState.FINISHED if self._last_event().get("kind") == Event.RUN_FINISHED else LogState.STOPPED

    def _reason(self) -> str | None:
        if self._state() != LogState.STOPPED:
            return None
        if self._last_event().get("kind") == Event.RUNNER_STOPPED:
            return str(self._last_event().get("reason"))
        from device_worker.serving.health import why_stopped

        return why_stopped(self._run_dir)

    def _log_id(self) -> str | None:
        return None if self._reader is None else self._reader.log_id

    def _last_seq(self) -> int | None:
        return None if self._reader is None else self._reader.last_seq or None


def take_follow(message: Fields) -> tuple[int, float]:
    """Return the number of the last known record, and the seconds between heartbeats. Refuse bad values."""
    heartbeat_s = message.amount("heartbeat_s")
    if not 0 < heartbeat_s <= _HEARTBEAT_S_MAX:
        raise message.refuse("heartbeat_s", f"expected more than 0 and at most {_HEARTBEAT_S_MAX} s")
    return message.whole("after_seq"), heartbeat_s
