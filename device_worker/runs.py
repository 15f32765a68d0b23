"""The runs of one device: start, inspect, cancel, forget."""

from __future__ import annotations

import os

from device_worker.event_log import EventLog, LogBusy
from device_worker.folders import remove_tree
from device_worker.log_reader import LogReader
from device_worker.process_identity import ProcessIdentity
from device_worker.protocol.vocabulary import Event, RunOutcome, RunState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.state_dir import RunDir

_CANCEL_S_MAX = 5.0


class RunStatus:
    """What a run is doing, and how far its log goes."""

    __slots__ = ("last_seq", "log_id", "outcome", "pid", "state")

    def __init__(self, run_dir: RunDir) -> None:
        self.log_id: str | None = None
        self.last_seq: int | None = None
        self.outcome: str | None = None
        self.pid = live_pid(run_dir)  # before the log is read: a runner that ends meanwhile has finished its log
        try:
            fd = os.open(run_dir.log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.state = RunState.UNKNOWN if self.pid is None else RunState.RUNNING
            return
        try:
            reader = LogReader(fd)
            while reader.read_batch():
                pass
        finally:
            os.close(fd)
        self.log_id = reader.log_id
        self.last_seq = reader.last_seq or None
        last = reader.last_event or {}
        if last.get("kind") == Event.RUN_FINISHED:
            self.outcome = last.get("outcome")
        self.state = _state(self.pid, self.outcome)

    @property
    def is_final(self) -> bool:
        """Whether the run has ended for good: one that a full disk ended may be started again."""
        return self.outcome in (RunOutcome.COMPLETE, RunOutcome.CANCELLED)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of a `status` answer."""
        return {"state": self.state, "log_id": self.log_id, "last_seq": self.last_seq}


def live_pid(run_dir: RunDir) -> int | None:
    """Return the process number of a run's runner, if it lives."""
    runner = ProcessIdentity.read(run_dir.pid)
    return runner.pid if runner is not None and runner.is_alive else None


def request_cancel(run_dir: RunDir) -> None:
    """Ask for the end of a run: tell its runner or, where none lives, finish its log; an unknown run has ended."""
    try:
        os.close(os.open(run_dir.cancel, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError:  # the run has no folder here
        return
    except OSError:  # nothing can be written: the runner ends all the same, as at a shutdown
        runner = ProcessIdentity.read(run_dir.pid)
        if runner is not None:
            runner.terminate()
        raise
    runner = ProcessIdentity.read(run_dir.pid)
    if runner is not None:
        if runner.terminate():
            return
        from device_worker.containment import end_leftovers

        end_leftovers(runner)  # a run that is cancelled has no next runner to do it
    if not run_dir.exists:  # no record yet: a runner that is just starting will see the request
        return
    try:
        log = EventLog(run_dir.log, wait=False)
    except LogBusy:  # a runner is just starting: it will see the request before its first trial
        return
    try:
        last = log.history[-1] if log.history else {}
        if last.get("kind") != Event.RUN_FINISHED:
            log.append(Event.RUN_FINISHED, outcome=RunOutcome.CANCELLED)
    finally:
        log.close()


def wait_until_stopped(run_dir: RunDir) -> None:
    """Wait, within bounds, for the runner to end: its end of the wake-up fifo closes then."""
    import select
    import time

    deadline = time.monotonic() + _CANCEL_S_MAX
    try:
        fd = os.open(run_dir.wake, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        poll = select.poll()
        poll.register(fd, 0)  # hang-up alone
        while live_pid(run_dir) is not None and time.monotonic() < deadline:
            poll.poll(100)
    finally:
        os.close(fd)


def forget(run_dir: RunDir, log_id: object, last_seq: object) -> bool:
    """Remove a finished run whose log has been followed to its end; return whether it is gone."""
    status = RunStatus(run_dir)
    if status.state == RunState.UNKNOWN:
        return True
    if status.state != RunState.FINISHED or (status.log_id, status.last_seq) != (log_id, last_seq):
        return False
    gone = os.path.join(os.path.dirname(run_dir.path), f".forgotten-{run_dir.run}.{os.getpid()}")
    os.rename(run_dir.path, gone)
    remove_tree(gone)
    return True


def _state(pid: int | None, outcome: str | None) -> str:
    if outcome is not None:
        return RunState.FINISHED
    return RunState.STOPPED if pid is None else RunState.RUNNING
