"""Say in what state the last run left the device, and whether the next one could begin; takes no lock."""

from __future__ import annotations

import os

from device_worker import login_session, mounts
from device_worker.containment import find_marked
from device_worker.device_lock import read_holder
from device_worker.process_identity import ProcessIdentity, read_boot_id
from device_worker.state_dir import StateDir
from device_worker.state_guard import refusal_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.state_dir import RunDir


def collect_health(state_dir: str) -> dict[str, Any]:
    """Return the `health` part of the facts; what the device does not say is None."""
    state = StateDir(state_dir)
    holder = read_holder(state.lock)
    identity = ProcessIdentity.from_json(holder)
    is_held = identity is not None and identity.is_alive
    left = None if identity is None or is_held else identity
    return {
        "file_system": mounts.file_system_of(state_dir),
        "read_only": mounts.is_read_only(state_dir),
        "files_free": _files_free(state_dir),
        "holder": _brief(holder) if is_held else None,
        "previous_crash": None if left is None else _crash(state, holder, left),
        "leftover_processes": 0 if left is None else len(find_marked(left.marker)),
        "damaged_logs": [run_dir.run for run_dir in state.known_runs() if damaged_logs(run_dir)],
        "in_login_session": login_session.is_in_login_session(os.getpid()),
        "login_lingers": login_session.lingers() if login_session.kills_processes() else None,
        "state_dir_refused": _refusal(state_dir),
    }


def damaged_logs(run_dir: RunDir) -> list[str]:
    """Return the names of a run's logs that were set aside because they were damaged before their end."""
    try:
        names = os.listdir(run_dir.path)
    except OSError:
        return []
    return sorted(name for name in names if name.startswith("log.damaged-"))


def why_stopped(run_dir: RunDir) -> str | None:
    """Return why a runner ended before its plan did, as far as what it left behind tells."""
    if mounts.is_read_only(run_dir.path):
        return f"{run_dir.path} can only be read any more"
    runner = ProcessIdentity.read(run_dir.pid)
    if runner is None:
        return None
    if runner.boot_id != read_boot_id():
        return "the device was restarted"
    holder = read_holder(os.path.join(os.path.dirname(os.path.dirname(run_dir.path)), "lock"))
    left = ProcessIdentity.from_json(holder)
    if left is not None and left.marker == runner.marker:
        return f"it was killed, or failed as {run_dir.runner_log} there tells"
    return None


def _crash(state: StateDir, holder: dict[str, Any], left: ProcessIdentity) -> dict[str, Any] | None:
    """Return the run that broke off; None once its folder is gone, for then somebody has seen to it."""
    if not os.path.isdir(os.path.join(state.runs, str(holder.get("run")))):
        return None
    return dict(_brief(holder), rebooted=left.boot_id != read_boot_id())


def _refusal(state_dir: str) -> dict[str, Any] | None:
    refused = refusal_of(state_dir)
    return None if refused is None else {"message": str(refused), "hint": refused.hint}


def _brief(holder: dict[str, Any]) -> dict[str, Any]:
    return {"run": holder.get("run"), "since_unix": holder.get("since_unix")}


def _files_free(path: str) -> int | None:
    """Return how many more files there may be; None where the file system has no such bound."""
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    return status.f_favail if status.f_files else None
