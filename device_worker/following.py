"""Send a run's records as they are written, until its runner ends or the controller does."""

from __future__ import annotations

import os
import select
import time

from device_worker.errors import WorkerError
from device_worker.log_reader import LogReader
from device_worker.protocol.vocabulary import ErrorKind, Event, Message, RunState
from device_worker.runs import live_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.log_reader import Batch
    from device_worker.state_dir import RunDir

    Send = Callable[..., None]

_HANG_UP_PAUSE_S = 0.01
_COMPANY_S = 0.05
"""A new record waits this long for the next: where a trial ends another begins, and one message tells of both."""


class Control:
    """The controller, while it follows: `handle` takes one message of its, and is False when it is gone."""

    __slots__ = ("fd", "handle", "is_waiting")

    def __init__(self, fd: int, is_waiting: Callable[[], bool], handle: Callable[[], bool]) -> None:
        self.fd = fd
        self.is_waiting = is_waiting
        self.handle = handle


class Following:
    """One `follow`: where it stands in the log, and how it hears that the log has grown.

    The runner writes to the run's fifo after each record, and the fifo hangs up when the runner ends, however that
    happens. Where two follow one run, a wake-up reaches only one of them; the other looks again at its next heartbeat.
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
        """Send records until the run ends or the controller is gone."""
        try:
            while True:
                is_running = live_pid(self._run_dir) is not None  # first: what it wrote before its end is read below
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
        """Open the fifo, then the log; where the run is only just being started, they are not there yet."""
        try:
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
        os.fdatasync(self._log_fd)  # what is sent may be acted upon: it must not be undone by a power cut
        self._send(
            Message.RECORDS,
            payload=b"".join(fresh.lines),
            log_id=self._log_id(),
            first_seq=fresh.events[0]["seq"],
            last_seq=fresh.events[-1]["seq"],
        )

    def _check_position(self) -> None:
        """Refuse to follow a log that ends before what the controller already has of it."""
        last_seq = self._last_seq() or 0
        if last_seq < self._after_seq:
            message = f"the log ends at {last_seq}, but {self._after_seq} of its events have been followed already"
            raise WorkerError(ErrorKind.LOG_CORRUPT, message, "keep what is there and start a new run")

    def _wait(self, control: Control) -> bool:
        """Wait for a wake-up, a message or the next heartbeat; return False when the controller is gone."""
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
                poll.modify(self._wake_fd, 0)  # its hang-up ends the wait, as a message does; a record does not
                poll.poll(_COMPANY_S * 1000)
            self._drain(ready[self._wake_fd])
        return control.fd not in ready or control.handle()

    def _drain(self, event: int) -> None:
        if not event & select.POLLIN:  # hung up: the runner is about to be gone
            time.sleep(_HANG_UP_PAUSE_S)
        elif self._wake_fd is not None:
            try:
                os.read(self._wake_fd, 65536)
            except BlockingIOError:  # another follower was faster
                pass

    def _state(self) -> str:
        if self._reader is None:
            return RunState.UNKNOWN
        last = self._reader.last_event or {}
        return RunState.FINISHED if last.get("kind") == Event.RUN_FINISHED else RunState.STOPPED

    def _reason(self) -> str | None:
        if self._state() != RunState.STOPPED:
            return None
        from device_worker.health import why_stopped

        return why_stopped(self._run_dir)

    def _log_id(self) -> str | None:
        return None if self._reader is None else self._reader.log_id

    def _last_seq(self) -> int | None:
        return None if self._reader is None else self._reader.last_seq or None


def check_follow(after_seq: Any, heartbeat_s: Any) -> tuple[int, float]:
    """Return where and how to follow, or refuse what makes no sense."""
    if type(after_seq) is not int or after_seq < 0:
        raise WorkerError(ErrorKind.BAD_REQUEST, f"after_seq is {after_seq!r}")
    if type(heartbeat_s) not in (int, float) or not 0 < heartbeat_s <= 3600:
        raise WorkerError(ErrorKind.BAD_REQUEST, f"heartbeat_s is {heartbeat_s!r}")
    return after_seq, heartbeat_s
