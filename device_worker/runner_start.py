"""Start the runner of a run, detached, with the device's lock and the run's log in its hands."""

from __future__ import annotations

import json
import os
import time

from device_worker.blobs import BlobStore
from device_worker.errors import WorkerError
from device_worker.leases import LeaseBook
from device_worker.plan import Plan
from device_worker.process_identity import ProcessIdentity
from device_worker.protocol.vocabulary import ErrorKind, RunState
from device_worker.runs import RunStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.detachment import Report
    from device_worker.device_lock import DeviceLock
    from device_worker.event_log import EventLog
    from device_worker.leases import Lease
    from device_worker.progress import Progress
    from device_worker.state_dir import RunDir, StateDir


class StartRequest:
    """What is to run: a plan, but for the trials in `skip`; under which lease, if any."""

    __slots__ = ("cache_bytes_max", "lease", "plan_sha256", "skip", "worker_sha256")

    def __init__(
        self,
        plan_sha256: str,
        skip: list[str],
        worker_sha256: str,
        lease: Lease | None = None,
        cache_bytes_max: int | None = None,
    ) -> None:
        self.plan_sha256 = plan_sha256
        self.skip = skip
        self.worker_sha256 = worker_sha256
        self.lease = lease
        self.cache_bytes_max = cache_bytes_max


def start_run(state: StateDir, run_dir: RunDir, request: StartRequest) -> dict[str, Any]:
    """Make sure that a run is running or finished, and return the fields of the answer."""
    if request.lease is not None:
        LeaseBook(state).admit(request.lease)
    status = RunStatus(run_dir)
    if status.pid is not None or status.is_final:
        _check_plan(_read_plan_link(run_dir), run_dir, request)
    if status.pid is not None:
        return {"state": RunState.RUNNING, "log_id": status.log_id, "pid": status.pid}
    if status.is_final:
        return {"state": RunState.FINISHED, "log_id": status.log_id, "pid": None}
    plan = _read_plan(state, request.plan_sha256)
    from device_worker.detachment import run_detached
    from device_worker.event_log import sync_folder
    from device_worker.provision import make_room_for_bundles

    make_room_for_bundles(state, plan, request.plan_sha256, request.cache_bytes_max)

    os.makedirs(run_dir.path, 0o700, exist_ok=True)
    sync_folder(state.runs)

    try:
        return run_detached(lambda report: _run(state, run_dir, request, plan, report), run_dir.runner_log)
    except WorkerError as error:
        holder = error.details.get("holder") or {}
        if error.kind == ErrorKind.DEVICE_BUSY and holder.get("run") == run_dir.run:  # started by another session
            _check_plan(holder.get("plan_sha256"), run_dir, request)
            return {"state": RunState.RUNNING, "log_id": RunStatus(run_dir).log_id, "pid": holder.get("pid")}
        if not run_dir.exists:
            _remove_traces(run_dir)
        raise


def _read_plan_link(run_dir: RunDir) -> str | None:
    try:
        return os.path.basename(os.readlink(run_dir.plan))
    except FileNotFoundError:
        return None


def _check_plan(began_with: str | None, run_dir: RunDir, request: StartRequest) -> None:
    """Refuse a second plan of a run: two devices of an inventory are one, with one state folder."""
    if began_with not in (None, request.plan_sha256):
        raise WorkerError(
            ErrorKind.PLAN_INVALID,
            f"run {run_dir.run} has another plan here already, in {run_dir.path}",
            "do two devices of the inventory share a state_dir? give each its own",
        )


def _read_plan(state: StateDir, sha256: str) -> Plan:
    blobs = BlobStore(state.blobs)
    try:
        with open(blobs.path(sha256), "rb") as file:
            plan = Plan.parse(file.read())
    except FileNotFoundError:
        message = f"the plan {sha256} is not on this device"
        raise WorkerError(ErrorKind.BLOB_MISSING, message, missing=[sha256]) from None
    missing = [blob["sha256"] for blob in plan.blobs if not blobs.has(blob["sha256"], blob["size"])]
    if missing:
        message = f"{len(missing)} of the plan's blobs are not on this device, {missing[0]} among them"
        raise WorkerError(ErrorKind.BLOB_MISSING, message, "ship them, then start again", missing=missing)
    return plan


def _remove_traces(run_dir: RunDir) -> None:
    """Remove the folder of a run that never began, so that the device does not half know it."""
    left = (run_dir.log, run_dir.runner_log, run_dir.wake, run_dir.pid, run_dir.plan, run_dir.reserve, run_dir.cancel)
    for path in left:
        if os.path.lexists(path):
            os.unlink(path)
    try:
        os.rmdir(run_dir.path)
    except OSError:
        pass


def _run(state: StateDir, run_dir: RunDir, request: StartRequest, plan: Plan, report: Report) -> None:
    """Be the runner, in its own process."""
    from device_worker.attempt import Bench
    from device_worker.bundles import BundleStore
    from device_worker.containment import Containment
    from device_worker.login_session import leave_login_session
    from device_worker.runner import Runner
    from device_worker.wakeups import SignalWakeups

    identity = ProcessIdentity.of_self()
    leave_login_session(identity.pid)
    lock = _take_device(state, run_dir, request, identity)
    try:
        wakeups = SignalWakeups()
        wake_fd = _open_wake(run_dir)
        log, progress = _open_log(run_dir, request, plan)
        runner = Runner(run_dir, plan, progress, log, wake_fd)
        if not progress.is_final:
            runner.reserve_room()
            _prepare_folder(state, run_dir, request, identity)
            runner.begin(request, identity)
    except (WorkerError, OSError):  # it never began: whoever takes the lock next must not take that for a crash
        lock.release()
        raise
    if progress.is_final:
        report({"state": RunState.FINISHED, "log_id": log.log_id, "pid": None})
    else:
        report({"state": RunState.RUNNING, "log_id": log.log_id, "pid": identity.pid})
        bench = Bench(plan, BlobStore(state.blobs), BundleStore(state.bundles), run_dir.work, identity.marker)
        runner.execute(bench, wakeups, Containment())
    lock.release()


def _take_device(state: StateDir, run_dir: RunDir, request: StartRequest, identity: ProcessIdentity) -> DeviceLock:
    """Take the device's lock, and end what a runner that was killed has left running."""
    from device_worker.containment import end_leftovers
    from device_worker.device_lock import DeviceLock

    lock = DeviceLock(state.lock, dict(identity.to_json(), **_holder(run_dir, request)))
    end_leftovers(ProcessIdentity.from_json(lock.previous))
    if request.lease is not None:  # a newer one may have come while this process was on its way to the lock
        try:
            LeaseBook(state).admit(request.lease)
        except WorkerError:
            lock.release()
            raise
    return lock


def _holder(run_dir: RunDir, request: StartRequest) -> dict[str, Any]:
    """Return what the device's lock says of who holds it, by the device's own clock."""
    since_unix, lease = int(time.time()), request.lease
    until_unix = None if lease is None or lease.estimate_s is None else since_unix + int(lease.estimate_s)
    return {
        "run": run_dir.run,
        "plan_sha256": request.plan_sha256,
        "holder": None if lease is None else lease.holder,
        "since_unix": since_unix,
        "until_unix": until_unix,
    }


def _open_wake(run_dir: RunDir) -> int:
    """Open the fifo for both ends: followers may come and go, and it hangs up only when the runner ends."""
    try:
        os.mkfifo(run_dir.wake, 0o600)
    except FileExistsError:
        pass
    return os.open(run_dir.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_log(run_dir: RunDir, request: StartRequest, plan: Plan) -> tuple[EventLog, Progress]:
    from device_worker.event_log import EventLog
    from device_worker.progress import Progress

    log = EventLog(run_dir.log)
    progress = Progress(plan, request.skip)
    for event in log.history:
        progress.apply(event)
    began_with = log.history[0].get("plan_sha256") if log.history else request.plan_sha256
    if began_with != request.plan_sha256:
        message = f"run {run_dir.run} began with the plan {began_with}, not {request.plan_sha256}"
        raise WorkerError(ErrorKind.PLAN_INVALID, message, "give the new plan a new run")
    return log, progress


def _prepare_folder(state: StateDir, run_dir: RunDir, request: StartRequest, identity: ProcessIdentity) -> None:
    if not os.path.exists(run_dir.plan):
        os.symlink(os.path.relpath(BlobStore(state.blobs).path(request.plan_sha256), run_dir.path), run_dir.plan)
    partial = run_dir.pid + ".partial"
    with open(partial, "w", encoding="ascii") as file:
        json.dump(identity.to_json(), file)
    os.rename(partial, run_dir.pid)
