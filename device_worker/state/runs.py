"""Inspect, cancel and forget the runs of a device."""

from __future__ import annotations

import os

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import Event, LogState, RunOutcome
from device_worker.state.event_log import EventLog, LogBusy
from device_worker.state.file_lock import is_locked
from device_worker.state.log_reader import LogReader
from device_worker.system.folders import remove_tree
from device_worker.system.process_identity import ProcessIdentity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.state.state_dir import RunDir

_CANCEL_S_MAX = 5.0


class RunStatus:
    """The state of a run on the device, with the identity and the last sequence number of the run's log."""

    __slots__ = ("last_seq", "log_id", "outcome", "pid", "state")

    def __init__(self, run_dir: RunDir) -> None:
        self.log_id: str | None = None
        self.last_seq: int | None = None
        self.outcome: str | None = None
        # Look for the runner before its log is read. In the other order, a runner that ends between the two looks
        # stopped: the log was read before its last record, and the process is gone.
        self.pid = live_pid(run_dir)
        is_running = has_runner(run_dir)
        try:
            fd = os.open(run_dir.log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.state = LogState.UNKNOWN if self.pid is None else LogState.RUNNING
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
        self.state = _state(is_running, self.outcome)

    @property
    def is_final(self) -> bool:
        """Whether the run has ended for good. A run ended by a full disk may be started again."""
        return self.outcome in (RunOutcome.COMPLETE, RunOutcome.CANCELLED)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of a `status` answer."""
        return {"state": self.state, "log_id": self.log_id, "last_seq": self.last_seq}


def live_pid(run_dir: RunDir) -> int | None:
    """Return the process number of a run's live runner, or None."""
    runner = ProcessIdentity.read(run_dir.pid)
    return runner.pid if runner is not None and runner.is_alive else None


def has_runner(run_dir: RunDir) -> bool:
    """Return True if a run's runner lives, whether /proc shows the runner or not."""
    # A runner keeps its log locked. /proc may not show the runner: of another container, or hidden from us.
    return live_pid(run_dir) is not None or is_locked(run_dir.log)


def request_cancel(run_dir: RunDir, between_trials: bool = False) -> None:
    """Cancel a run: terminate the runner, or finish the log if no runner lives.

    `between_trials`: a live runner ends the trial that it runs, and stops by itself before the next.
    A run unknown to the device needs no cancelling. Raise OSError if the disk cannot be written. The runner then gets
    the signal alone, and ends as at a shutdown.
    """
    try:
        os.close(os.open(run_dir.cancel, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError:  # the run has no folder here
        return
    except OSError:  # read-only disk: the signal ends the runner even without the cancel file
        runner = ProcessIdentity.read(run_dir.pid)
        if runner is not None:
            runner.terminate()
        raise
    runner = ProcessIdentity.read(run_dir.pid)
    if runner is not None:
        if runner.is_alive if between_trials else runner.terminate():
            return
        _end_leftovers(run_dir, runner)  # the next runner of a run would do so, but a cancelled run has no next runner
    if not run_dir.exists:  # no record yet: a runner that is just starting will see the cancel file
        return
    try:
        log = EventLog(run_dir.log, wait=False)
    except LogBusy:  # a runner that is just starting will see the cancel file before its first trial
        return
    try:
        last = log.history[-1] if log.history else {}
        if last.get("kind") != Event.RUN_FINISHED:
            log.append(Event.RUN_FINISHED, outcome=RunOutcome.CANCELLED)
    finally:
        log.close()


def _end_leftovers(run_dir: RunDir, runner: ProcessIdentity) -> None:
    """End what a dead runner has left, unless another runner of the folder lives."""
    from device_worker.state.device_lock import DeviceLock
    from device_worker.system.leftovers import end_leftovers, find_leftovers

    state_dir = run_dir.state_dir
    if not find_leftovers(state_dir, runner):
        return
    task = dict(ProcessIdentity.of_self().to_json(), run=None, task="runs cancel")
    try:
        lock = DeviceLock(os.path.join(state_dir, "lock"), task)
    except WorkerError:  # another runner has ended the leftovers at its start
        return
    try:
        end_leftovers(state_dir, runner)
    finally:
        lock.release()


def wait_until_stopped(run_dir: RunDir) -> None:
    """Wait for a run's runner to end, at most _CANCEL_S_MAX seconds."""
    import select
    import time

    deadline = time.monotonic() + _CANCEL_S_MAX
    try:
        fd = os.open(run_dir.wake, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        poll = select.poll()
        poll.register(fd, 0)  # for the hang-up alone: the fifo hangs up when the runner, its only writer, ends
        while live_pid(run_dir) is not None and time.monotonic() < deadline:
            poll.poll(100)
    finally:
        os.close(fd)


def forget(run_dir: RunDir, log_id: object, last_seq: object) -> bool:
    """Remove the folder of a finished run, and return True if the run has no folder any more.

    `log_id` and `last_seq` say how far the caller has the log. The folder stays if the log goes further.
    """
    status = RunStatus(run_dir)
    if status.state == LogState.UNKNOWN:
        return True
    if status.state != LogState.FINISHED or (status.log_id, status.last_seq) != (log_id, last_seq):
        return False
    # Rename first: after a crash in remove_tree, a folder without its log must not look like a run that never began.
    gone = os.path.join(os.path.dirname(run_dir.path), f".forgotten-{run_dir.run}.{os.getpid()}")
    os.rename(run_dir.path, gone)
    remove_tree(gone)
    return True


def _state(is_running: bool, outcome: str | None) -> str:
    if outcome is not None:
        return LogState.FINISHED
    return LogState.RUNNING if is_running else LogState.STOPPED
