"""Tell who holds the machine's lock, and accuse no process by its number alone.

The kernel records the number of the process that took a lock. That process may have ended, with its files inherited by
a trial's process, and the kernel gives numbers again. So a process counts as a holder if the lock stands among its open
files, which /proc shows to root and to the process's own user. To other users a runner shows itself by its name.
"""

from __future__ import annotations

import os
import pwd

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system.survivors import Leftover
from device_worker.system.trial_mark import all_processes, is_dead, is_runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COMMAND_BYTES_MAX = 1 << 16
_PATH_CHARACTERS_MAX = 200

_WAIT = "wait for the end (--wait); devices that are meant to share a machine have exclusive: false in the inventory"
_WAIT_FOR_EXCLUSIVE = (
    "wait for the end (--wait): that run has the machine for itself, and would need exclusive: false too"
)
_END = "end that process, or reboot the device"


class MachineHolders:
    """The holders of a file's lock. `surely` hold the lock, and `perhaps` may: /proc does not tell.

    A holder shows itself by `name`. `took` are all processes that took the lock and held it at the kernel's last word,
    dead ones included.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._file = _id_of(fd)
        self.took = _read_takers(self._file)
        verdicts = {pid: _holds(pid, self._file, name) for pid in self.took}
        self.surely = [pid for pid in self.took if verdicts[pid]]
        self.perhaps = [pid for pid in self.took if verdicts[pid] is None]

    def refusal(self, exclusive: bool) -> WorkerError:
        """Return the DEVICE_BUSY error that names the holders, or the processes that have inherited the lock.

        `exclusive`: the refused runner wanted the machine for itself.
        """
        wait = _WAIT if exclusive else _WAIT_FOR_EXCLUSIVE
        if self.surely:
            holders = [_describe(pid) for pid in self.surely]
            who = f"{_words(holders)} {'is' if len(holders) == 1 else 'are'} measuring on this machine"
            return _busy(who, wait, holders)
        heirs = [_describe(pid) for pid in all_processes() if pid != os.getpid() and _has_lock(pid, self._file)]
        if self.perhaps and not heirs:
            found = Leftover(self.perhaps[0])
            who = f"{found} has the number of the process that took this machine's lock, and may be another by now"
            return _busy(who, wait, [])
        if self.took or heirs:
            runner = f"the runner {self.took[0]}" if self.took else "a runner"
            who = f"{runner} has ended, and a process of its trial still runs on this machine"
            return _busy(who + (f": {_words(heirs)}" if heirs else ""), _END, heirs)
        return _busy("another container of this machine, or a process that /proc does not show, is measuring", wait, [])


def _read_takers(file_id: str) -> list[int]:
    """Return the processes that took the lock, as far as /proc/locks shows processes. Format: proc_locks(5)."""
    try:
        with open("/proc/locks") as locks:
            lines = [line.split() for line in locks]
    except OSError:  # the lock holds all the same
        return []
    return [int(fields[4]) for fields in lines if fields[1] == "FLOCK" and fields[5] == file_id]


def _holds(pid: int, file_id: str, name: str) -> bool | None:
    """Return whether a process that is said to have taken the lock holds the lock, or None if /proc does not tell."""
    if is_dead(pid):
        return False
    found = _has_lock(pid, file_id)
    if found is not None:
        return found
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            if file.read().rstrip(b"\n") == name.encode():
                return True
    except OSError:  # /proc hides the processes of other users
        pass
    return None


def _has_lock(pid: int, file_id: str) -> bool | None:
    """Return whether the lock stands among a process's open files, or None if those are kept back."""
    folder = f"/proc/{pid}/fdinfo"
    try:
        return any(_is_locked(os.path.join(folder, name), file_id) for name in os.listdir(folder))
    except OSError:
        return None


def _is_locked(path: str, file_id: str) -> bool:
    try:
        with open(path, "rb") as file:
            return any(line.startswith(b"lock:") and file_id.encode() in line.split() for line in file)
    except FileNotFoundError:  # closed meanwhile
        return False


def _id_of(fd: int) -> str:
    """Return a file as /proc writes the file beside a lock."""
    status = os.fstat(fd)
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"


def _busy(who: str, hint: str, holders: list[dict[str, Any]]) -> WorkerError:
    return WorkerError(ErrorKind.DEVICE_BUSY, who, hint, machine_holders=holders)


def _describe(pid: int) -> dict[str, Any]:
    """Return user and state folder of a process of the machine. A value is None if /proc keeps the value back."""
    found: dict[str, Any] = {"pid": pid, "user": None, "state_dir": None}
    try:
        found["user"] = _user_name(os.stat(f"/proc/{pid}").st_uid)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(_COMMAND_BYTES_MAX).decode("utf-8", "replace").split("\0")
    except OSError:
        return found
    # The worker's command, as the controller starts the worker: python -E -s -c LOADER STATE_DIR SHA256 SIZE.
    if "-c" in words[:-2] and is_runner(pid):
        found["state_dir"] = words[words.index("-c") + 2][:_PATH_CHARACTERS_MAX]
    return found


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _words(holders: list[dict[str, Any]]) -> str:
    return ", ".join(map(_word, holders))


def _word(one: dict[str, Any]) -> str:
    folder = f", state folder {one['state_dir']}" if one["state_dir"] else ""
    return f"{one['user'] or 'another user'} (process {one['pid']}{folder})"
