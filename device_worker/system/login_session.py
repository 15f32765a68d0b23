"""Keep a runner alive where a logout ends the user's processes (`KillUserProcesses=yes` of systemd's login manager).

Such a login manager ends all processes in the session's scope, even if the user lingers. A process survives in a scope
of the user's service manager. The service manager outlives the last logout only if the user lingers. A runner therefore
needs both. The scope is made here. Lingering is a setting of the device, and only a person may switch lingering on.
"""

from __future__ import annotations

import os
import re
import time

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system import system_files

_LOGIND_FOLDERS = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")
_LINGER_FOLDER = "/var/lib/systemd/linger"
_YES = ("yes", "true", "on", "1", "y", "t")
_MOVE_S_MAX = 5.0
_MOVE_PAUSE_S = 0.02


def leave_login_session(pid: int) -> None:
    """Move a process out of the reach of a logout, or raise WorkerError (LOGIN_ENDS_RUNNER) with the remedy.

    No move is made where a logout ends no processes, or where the process belongs to no login session.
    """
    if not kills_processes() or not is_in_login_session(pid):
        return
    user = _user_name()
    hint = f"loginctl enable-linger {user} on the device, or KillUserProcesses=no in its /etc/systemd/logind.conf"
    if not lingers():
        raise WorkerError(ErrorKind.LOGIN_ENDS_RUNNER, "a logout on the device ends the runner too", hint)
    if not _move_to_scope(pid):
        message = f"a logout on the device ends the runner too, and the service manager of {user} refuses the runner"
        advice = "check that systemctl --user status works on the device, or: "
        raise WorkerError(ErrorKind.LOGIN_ENDS_RUNNER, message, advice + hint)


def kills_processes() -> bool | None:
    """Return True if a logout ends the user's detached processes, or None if no configuration file tells.

    False for root, whose processes logind spares by default. Source: logind.conf(5).
    """
    # All drop-ins, sorted by name and not by folder, are read after the main files: systemd.syntax(7), logind.conf(5).
    drop_ins = [path for folder in _LOGIND_FOLDERS for path in system_files.list_folder(f"{folder}/logind.conf.d")]
    files = [f"{folder}/logind.conf" for folder in _LOGIND_FOLDERS] + sorted(drop_ins, key=os.path.basename)
    texts = [text for text in map(system_files.read_text, files) if text]
    setting: str | None = None
    commented: str | None = None
    for line in "\n".join(texts).split("\n"):
        name, equals, value = line.partition("=")
        if equals and name.strip() == "KillUserProcesses":
            setting = value.strip()
        elif equals and name.strip().lstrip("# ") == "KillUserProcesses":
            commented = value.strip()  # distributions state the compiled-in default in a commented line
    said = setting if setting is not None else commented
    if said is None:
        return None
    return said.lower() in _YES and os.geteuid() != 0


def lingers() -> bool | None:
    """Return True if the user's service manager outlives the last logout, or None if there is no login manager."""
    user = _user_name()
    said = system_files.run_program("loginctl", "show-user", "--property=Linger", "--value", user)
    if said in ("yes", "no"):
        return said == "yes"
    if not system_files.exists(os.path.dirname(_LINGER_FOLDER)):
        return None
    return system_files.exists(f"{_LINGER_FOLDER}/{user}")


def is_in_login_session(pid: int) -> bool:
    """Return True if a process is in the scope of a login session. A service or a moved process is not."""
    return re.search(r"/session-[^/\n]+\.scope", system_files.read_text(f"/proc/{pid}/cgroup") or "") is not None


def _move_to_scope(pid: int) -> bool:
    """Have the user's service manager move a running process into a new scope, and return True once moved."""
    scope = f"benchfleet-runner-{pid}-{time.time_ns()}.scope"
    os.environ.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    unit = ("StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail", "1", "PIDs", "au", "1", str(pid), "0")
    if system_files.run_program("busctl", "--user", "call", *manager, *unit) is None:
        return False
    # The manager's answer names only a job. The move is done once /proc shows the new scope.
    deadline = time.monotonic() + _MOVE_S_MAX
    while time.monotonic() < deadline:
        if f"/{scope}" in (system_files.read_text(f"/proc/{pid}/cgroup") or ""):
            return True
        time.sleep(_MOVE_PAUSE_S)
    return False


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
