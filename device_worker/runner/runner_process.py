"""Run a runner in a detached process: take the device lock, open the run's log, and execute the plan."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind, LogState
from device_worker.runner.progress import Progress
from device_worker.sensing.governor_hold import GovernorHold
from device_worker.state.blobs import BlobStore
from device_worker.state.device_lock import DeviceLock, describe_run
from device_worker.state.event_log import EventLog
from device_worker.state.leases import LeaseBook
from device_worker.state.machine_lock import MachineLock
from device_worker.system import runner_log
from device_worker.system.leftovers import end_all, end_leftovers, outlast
from device_worker.system.process_identity import ProcessIdentity
from device_worker.system.trial_mark import find_orphans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Mapping

    from device_worker.protocol.plan import Plan
    from device_worker.protocol.start import StartOrder
    from device_worker.state.state_dir import RunDir, StateDir
    from device_worker.system.detachment import StartReport
    from device_worker.system.survivors import Leftover


def run_plan(state: StateDir, run_dir: RunDir, request: StartOrder, plan: Plan, report: StartReport) -> None:
    """Take the device, open the log, report the start, and execute the plan to the end.

    `report` gets the fields of the answer to `start`. Raise WorkerError or OSError before the report if the runner
    cannot begin: the device is busy, the lease is stale, the plan is another, or the disk is too full.
    """
    from device_worker.runner.attempt import Attempts
    from device_worker.runner.runner import Runner
    from device_worker.sensing.power.opening import open_meter
    from device_worker.state.bundles import BundleStore
    from device_worker.system.containment import Containment
    from device_worker.system.login_session import leave_login_session
    from device_worker.system.trial_mark import number_of
    from device_worker.system.wakeups import SignalWakeups

    identity = ProcessIdentity.of_self()
    leave_login_session(identity.pid)
    lock = _take_device(state, run_dir, request, identity)
    machine: MachineLock | None = None
    log: EventLog | None = None
    try:
        machine = MachineLock(request.exclusive)  # behind the device lock: leftovers of our own runner have ended
        _end_strangers(machine)
        hold = GovernorHold(state)
        hold.undo()  # of a runner that was killed
        wakeups = SignalWakeups()
        wake_fd = _open_wake(run_dir)
        log, progress = _open_log(run_dir, request, plan)
        watch_gpu(plan.environment)
        meter = open_meter(plan.idle_s, plan.power_sources, plan.meter_period_s)
        # Before the reserve is laid: longer measurements bring more samples into the log.
        plan.measure = meter.lengthen(plan.measure, plan.limits.trial_timeout_s)
        runner = Runner(run_dir, plan, progress, log, wake_fd, exclusive=request.exclusive)
        if not progress.is_final:
            runner.reserve_room()
            _prepare_folder(state, run_dir, request, identity)
            runner.begin(request, identity)
    except (WorkerError, OSError):  # release in order: the next holder must not take an expected refusal for a crash
        if log is not None:  # a locked log says that a runner lives
            log.close()
        if machine is not None:
            machine.release()
        lock.release()
        raise
    if progress.is_final:
        report({"state": LogState.FINISHED, "log_id": log.log_id, "pid": None})
    else:
        report({"state": LogState.RUNNING, "log_id": log.log_id, "pid": identity.pid})
        stores = BlobStore(state.blobs), BundleStore(state.bundles)
        attempts = Attempts(plan, *stores, run_dir.work, marker=identity.marker, meter=meter, machine_fd=machine.fd)
        containment = Containment(number_of(state.path))
        with _governor(hold, plan.governor):
            runner.execute(attempts, wakeups, containment)
        if containment.survivors:  # those that have inherited the machine's lock keep the machine busy
            lock.release()
            return
    machine.release()
    lock.release()


@contextmanager
def _governor(hold: GovernorHold, governor: str | None) -> Iterator[None]:
    """Hold a governor, or none. What cannot be set is for the condition to judge."""
    refusal = None if governor is None else hold.set(governor)
    if refusal is not None:
        runner_log.log(f"the governor {governor} could not be set: {refusal}")
    try:
        yield
    finally:
        hold.undo()


def watch_gpu(environment: Mapping[str, str | None]) -> None:
    """Have power and clocks read of the one GPU that trials see, if the inventory has chosen one."""
    # The order tells the inventory's choice from a sweep's, whose numbers are CUDA's own.
    if environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        number = environment.get("CUDA_VISIBLE_DEVICES") or ""
        if number.isdigit():
            from device_worker.sensing.power import nvml

            nvml.watch_only(int(number))


def _take_device(state: StateDir, run_dir: RunDir, request: StartOrder, identity: ProcessIdentity) -> DeviceLock:
    """Take the device lock, and end the processes of a killed runner.

    Raise WorkerError (DEVICE_BUSY, SURVIVOR, STALE_LEASE).
    """
    lock = DeviceLock(state.lock, dict(identity.to_json(), **describe_run(run_dir.run, request)))
    try:
        survivors = end_leftovers(state.path, ProcessIdentity.from_json(lock.previous))
        if survivors:
            raise _refusal_for(survivors)
        if request.lease is not None:  # again: a newer lease may have come between the first check and the lock
            LeaseBook(state).admit(request.lease)
    except WorkerError:
        lock.release()
        raise
    return lock


def _end_strangers(machine: MachineLock) -> None:
    """End what trials of other users and state folders have left. Raise WorkerError (SURVIVOR) if that fails.

    A program under sudo does not inherit the lock, and only its mark tells of it. Under a lock that is not whole other
    runners may be alive: nothing is killed, and whatever outlasts a moment refuses the start.
    """
    if machine.is_whole:
        survivors = end_all(lambda: find_orphans(None))
        if survivors:
            raise _refusal_for(survivors)
        return
    strangers = outlast(lambda: [pid for pid in find_orphans(None) if machine.may_hold(pid)])
    if strangers:
        from device_worker.system.survivors import refusal_beside  # a survivor is rare, and a start is not

        raise refusal_beside(strangers)


def _refusal_for(survivors: list[Leftover]) -> WorkerError:
    from device_worker.system.survivors import refusal_for  # a survivor is rare, and a start is not

    return refusal_for(survivors)


def _open_wake(run_dir: RunDir) -> int:
    """Open the wake-up fifo for reading and writing, without blocking."""
    # Both ends: a fifo without a reader could not be opened for writing, and followers come and go. The fifo hangs up
    # for followers only once the runner, the only writer, has ended.
    try:
        os.mkfifo(run_dir.wake, 0o600)
    except FileExistsError:
        pass
    return os.open(run_dir.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_log(run_dir: RunDir, request: StartOrder, plan: Plan) -> tuple[EventLog, Progress]:
    log = EventLog(run_dir.log)
    # What this log has of them is counted by its own events.
    spent = [counts for log_id, counts in request.spent.items() if log_id != log.log_id]
    progress = Progress(plan, request.skip, spent)
    for event in log.history:
        progress.apply(event)
    began_with = log.history[0].get("plan_sha256") if log.history else request.plan_sha256
    if began_with != request.plan_sha256 and began_with not in plan.extended:
        log.close()
        message = f"run {run_dir.run} began with the plan {began_with}, not {request.plan_sha256}"
        raise WorkerError(ErrorKind.PLAN_INVALID, message, "give the new plan a new run")
    return log, progress


def _prepare_folder(state: StateDir, run_dir: RunDir, request: StartOrder, identity: ProcessIdentity) -> None:
    target = os.path.relpath(BlobStore(state.blobs).path(request.plan_sha256), run_dir.path)
    # Replaced whole: the link of an extended plan keeps the plan from the cleaning of the cache, as the old one did.
    link = run_dir.plan + ".partial"
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(target, link)
    os.rename(link, run_dir.plan)
    partial = run_dir.pid + ".partial"
    with open(partial, "w", encoding="ascii") as file:
        json.dump(identity.to_json(), file)
    os.rename(partial, run_dir.pid)
