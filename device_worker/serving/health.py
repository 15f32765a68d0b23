"""Report the state that the last run left behind, and obstacles to the next run. No lock is taken."""

from __future__ import annotations

import os

from device_worker.state.device_lock import read_holder
from device_worker.state.file_lock import is_locked
from device_worker.state.state_dir import StateDir
from device_worker.state.state_guard import refusal_of
from device_worker.system import login_session, mounts
from device_worker.system.leftovers import find_leftovers
from device_worker.system.process_identity import ProcessIdentity, read_boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.state.state_dir import RunDir


def collect_health(state_dir: str) -> dict[str, Any]:
    """Return the `health` part of the facts. A value is None if the device does not tell."""
    state = StateDir(state_dir)
    holder = read_holder(state.lock)
    identity = ProcessIdentity.from_json(holder)
    # The lock knows better than /proc, which may not show a living runner: of another container, or hidden from us.
    is_held = identity is not None and (identity.is_alive or is_locked(state.lock))
    left = None if identity is None or is_held else identity
    leftovers = [] if is_held else find_leftovers(state_dir, left)
    return {
        "file_system": mounts.file_system_of(state_dir),
        "read_only": mounts.is_read_only(state_dir),
        "noexec": mounts.is_noexec(state_dir),
        "files_free": _files_free(state_dir),
        "holder": _brief(holder) if is_held else None,
        "previous_crash": None if left is None else _crash(state, holder, left),
        "leftover_processes": len(leftovers),
        "survivors": _foreign(leftovers),
        "damaged_logs": [run_dir.run for run_dir in state.known_runs() if damaged_logs(run_dir)],
        "in_login_session": login_session.is_in_login_session(os.getpid()),
        "login_lingers": login_session.lingers() if login_session.kills_processes() else None,
        "state_dir_refused": _refusal(state_dir),
    }


def _foreign(pids: list[int]) -> list[dict[str, Any]]:
    """Return the processes that are not ours to end, as JSON objects."""
    if not pids:
        return []
    from device_worker.system.survivors import Leftover, listed  # a process left behind is rare, and a start is not

    return listed([one for one in map(Leftover, pids) if one.is_foreign])


def damaged_logs(run_dir: RunDir) -> list[str]:
    """Return the names of a run's logs set aside for damage before the end (see event_log)."""
    try:
        names = os.listdir(run_dir.path)
    except OSError:
        return []
    return sorted(name for name in names if name.startswith("log.damaged-"))


def why_stopped(run_dir: RunDir) -> str | None:
    """Return the reason for a runner's early end, as far as the files of the run tell, otherwise None."""
    if mounts.is_read_only(run_dir.path):
        return f"{run_dir.path} is read-only now"
    runner = ProcessIdentity.read(run_dir.pid)
    if runner is None:
        return None
    if runner.boot_id != read_boot_id():
        return "the device was restarted"
    holder = read_holder(StateDir(run_dir.state_dir).lock)
    left = ProcessIdentity.from_json(holder)
    # A runner that ends in order empties the lock's file.
    if left is not None and left.marker == runner.marker:
        return f"the runner was killed, or failed: read {run_dir.runner_log} on the device"
    return None


def _crash(state: StateDir, holder: dict[str, Any], left: ProcessIdentity) -> dict[str, Any] | None:
    """Return the crashed run and whether the device has rebooted since, or None once the run's folder is gone."""
    # Somebody who has collected or removed the run knows of the crash.
    if not os.path.isdir(os.path.join(state.runs, str(holder.get("run")))):
        return None
    return dict(_brief(holder), rebooted=left.boot_id != read_boot_id())


def _refusal(state_dir: str) -> dict[str, Any] | None:
    refused = refusal_of(state_dir)
    return None if refused is None else {"message": str(refused), "hint": refused.hint}


def _brief(holder: dict[str, Any]) -> dict[str, Any]:
    return {"run": holder.get("run"), "since_unix": holder.get("since_unix")}


def _files_free(path: str) -> int | None:
    """Return the number of files that may still be created, or None if the file system has no such limit."""
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    return status.f_favail if status.f_files else None
