"""Answer a `start`: admit the lease, check the plan, and start the runner in a detached process.

The detached process goes on in `runner_process`.
"""

from __future__ import annotations

import os

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.plan import Plan
from device_worker.protocol.vocabulary import ErrorKind, LogState
from device_worker.sensing.conditions.table import refuse_unknown_limits
from device_worker.state.blobs import BlobStore
from device_worker.state.leases import LeaseBook
from device_worker.state.runs import RunStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.start import StartOrder
    from device_worker.state.state_dir import RunDir, StateDir


def start_run(state: StateDir, run_dir: RunDir, request: StartOrder) -> dict[str, Any]:
    """Start a run, unless the run is running or finished already. Return the fields of the answer.

    Raise WorkerError for a stale lease, another plan, missing blobs, too little room or a busy device.
    """
    if request.lease is not None:
        LeaseBook(state).admit(request.lease)
    status = RunStatus(run_dir)
    if status.pid is not None or status.is_final:
        _check_plan(_read_plan_link(run_dir), run_dir, request)
    if status.pid is not None:
        return {"state": LogState.RUNNING, "log_id": status.log_id, "pid": status.pid}
    if status.is_final:
        return {"state": LogState.FINISHED, "log_id": status.log_id, "pid": None}
    plan = _read_plan(state, request.plan_sha256)
    refuse_unknown_limits(plan.limits.conditions)
    from device_worker.runner.runner_process import run_plan
    from device_worker.state.bundle_room import make_room_for_bundles
    from device_worker.state.event_log import sync_folder
    from device_worker.system.detachment import run_detached

    make_room_for_bundles(state, plan, request.plan_sha256, request.cache_bytes_max)

    os.makedirs(run_dir.path, 0o700, exist_ok=True)
    sync_folder(state.runs)

    try:
        return run_detached(lambda report: run_plan(state, run_dir, request, plan, report), run_dir.runner_log)
    except WorkerError as error:
        holder = error.details.get("holder") or {}
        # The device may be busy with the same run, started by another session a moment ago.
        if error.kind == ErrorKind.DEVICE_BUSY and holder.get("run") == run_dir.run:
            _check_plan(holder.get("plan_sha256"), run_dir, request)
            return {"state": LogState.RUNNING, "log_id": RunStatus(run_dir).log_id, "pid": holder.get("pid")}
        if not run_dir.exists:
            _remove_traces(run_dir)
        raise


def _read_plan_link(run_dir: RunDir) -> str | None:
    try:
        return os.path.basename(os.readlink(run_dir.plan))
    except FileNotFoundError:
        return None


def _check_plan(began_with: str | None, run_dir: RunDir, request: StartOrder) -> None:
    """Raise WorkerError (PLAN_INVALID) for a second plan of a run."""
    # The usual reason: two devices of the inventory are the same machine with the same state folder.
    if began_with not in (None, request.plan_sha256):
        raise WorkerError(
            ErrorKind.PLAN_INVALID,
            f"run {run_dir.run} has another plan here already, in {run_dir.path}",
            "do two devices of the inventory share a state_dir? give each its own; if the database came back from a "
            "backup, begin a new run",
        )


def _read_plan(state: StateDir, sha256: str) -> Plan:
    blobs = BlobStore(state.blobs)
    try:
        with open(blobs.path(sha256), "rb") as file:
            plan = Plan.parse(file.read())
    except FileNotFoundError:
        message = f"the plan {sha256} is not on this device"
        raise WorkerError(ErrorKind.BLOB_MISSING, message, missing=[sha256]) from None
    missing = [blob.sha256 for blob in plan.blobs if not blobs.has(blob.sha256, blob.size)]
    if missing:
        message = f"{len(missing)} of the plan's blobs are not on this device, {missing[0]} among them"
        raise WorkerError(ErrorKind.BLOB_MISSING, message, "ship them, then start again", missing=missing)
    return plan


def _remove_traces(run_dir: RunDir) -> None:
    """Remove the folder of a run that never began."""
    # File by file, so that a folder with any other file stays.
    left = (
        run_dir.log,
        run_dir.runner_log,
        run_dir.wake,
        run_dir.pid,
        run_dir.plan,
        run_dir.log_reserve,
        run_dir.cancel,
    )
    for path in left:
        if os.path.lexists(path):
            os.unlink(path)
    try:
        os.rmdir(run_dir.path)
    except OSError:
        pass
