"""Keep a runner alive where logging out ends a user's processes (`KillUserProcesses=yes` of systemd's login manager).

Such a login manager ends everything in the session's scope, whether the user lingers or not. A process survives in a
scope of the user's own service manager, and that manager outlives the last logout only where the user lingers. So both
are needed: lingering is a setting of the device and stays a person's decision, the scope is made here.
"""

from __future__ import annotations

import os
import re
import time

from device_worker import system_files
from device_worker.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind

_LOGIND_FOLDERS = ("/usr/lib/systemd", "/run/systemd", "/etc/systemd")
_LINGER_FOLDER = "/var/lib/systemd/linger"
_SESSION_SCOPE = re.compile(r"/session-[^/\n]+\.scope")
_YES = ("yes", "true", "on", "1", "y", "t")
_MOVE_S_MAX = 5.0
_MOVE_PAUSE_S = 0.02


def leave_login_session(pid: int) -> None:
    """Move a process to where a logout does not reach it, or raise WorkerError with the remedy."""
    if not kills_processes() or not is_in_login_session(pid):
        return
    user = _user_name()
    hint = f"loginctl enable-linger {user} on the device, or KillUserProcesses=no in its /etc/systemd/logind.conf"
    if not lingers():
        raise WorkerError(ErrorKind.LOGIN_ENDS_RUNNER, "a logout ends the user's processes here, runners too", hint)
    if not _move_to_scope(pid):
        message = f"a logout ends the user's processes here, and the service manager of {user} takes no runner"
        raise WorkerError(ErrorKind.LOGIN_ENDS_RUNNER, message, "does systemctl --user status work there? else " + hint)


def kills_processes() -> bool | None:
    """Return whether logging out ends what a session left behind: a detached runner would die with its connection.

    Where nothing is set, the commented line of the distribution's own file says what was compiled in.
    """
    # drop-ins, by their names wherever they lie, come after every main file: systemd.syntax(7), logind.conf(5)
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
            commented = value.strip()
    said = setting if setting is not None else commented
    if said is None:
        return None
    return said.lower() in _YES and os.geteuid() != 0


def lingers() -> bool | None:
    """Return whether the user's service manager outlives the last logout; None where there is no login manager."""
    user = _user_name()
    said = system_files.run_program("loginctl", "show-user", "--property=Linger", "--value", user)
    if said in ("yes", "no"):
        return said == "yes"
    if not system_files.exists(os.path.dirname(_LINGER_FOLDER)):
        return None
    return system_files.exists(f"{_LINGER_FOLDER}/{user}")


def is_in_login_session(pid: int) -> bool:
    """Say whether a process would end with a login: services, and what was moved away before, would not."""
    return _SESSION_SCOPE.search(system_files.read_text(f"/proc/{pid}/cgroup") or "") is not None


def _move_to_scope(pid: int) -> bool:
    """Ask the user's service manager to put a running process into a scope of its own; say whether it is there."""
    scope = f"benchfleet-runner-{pid}-{time.time_ns()}.scope"
    os.environ.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    unit = ("StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail", "1", "PIDs", "au", "1", str(pid), "0")
    if system_files.run_program("busctl", "--user", "call", *manager, *unit) is None:
        return False
    deadline = time.monotonic() + _MOVE_S_MAX  # the answer names a job: it is done when the kernel says so
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
