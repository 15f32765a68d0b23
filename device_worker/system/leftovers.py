"""End the processes that ended trials have left, and describe the processes that cannot be ended.

A program under sudo belongs to another user, and a signal of ours does not reach the program. A process may also be
stuck in the kernel. Such a process is a survivor. The worker never calls sudo: a plan is no reason to act as root.
"""

from __future__ import annotations

import os
import time

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system import trial_mark
from device_worker.system.process_identity import SIGKILL, ProcessIdentity, read_boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

MARKER_VARIABLE = "BENCHFLEET_RUNNER"
"""Names the runner in the environment of a trial. Older workers made no other mark."""

_DYING_S_MAX = 45.0
"""A process that syncs to a worn card or a network disk dies late. A start is answered within 60 s nevertheless."""

_SWEEP_S_MAX = 5.0
_FOREIGN_S_MAX = 1.0
_SWEEP_PAUSE_S = 0.005
_SWEEP_PAUSE_S_MAX = 0.1
_COMMAND_CHARACTERS_MAX = 120
_NAMED_MAX = 3
_LISTED_MAX = 20


class Leftover:
    """A process of an ended trial. `user` is a name or a number. `is_foreign` says that we may not end the process."""

    __slots__ = ("command", "is_foreign", "pid", "user")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.user = _user_of(pid)
        self.command = _command_of(pid)
        self.is_foreign = not _kill(pid, 0)

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} ({self.command})"

    def to_json(self) -> dict[str, Any]:
        """Return the leftover as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


def find_leftovers(state_dir: str, runner: ProcessIdentity | None) -> list[int]:
    """Return the processes left by the trials of a state folder. No runner of the folder may live.

    `runner` is the last runner, if known. Only the environment of our own processes can be read for the marker.
    """
    found = set(trial_mark.find_orphans(trial_mark.number_of(state_dir)))
    if runner is not None and runner.boot_id == read_boot_id():
        found.update(find_marked(runner.marker))
    return sorted(found)


def end_leftovers(state_dir: str, runner: ProcessIdentity | None) -> list[Leftover]:
    """End the processes left by the trials of a state folder, and return the survivors.

    The caller holds the device lock, so that no runner of the folder lives.
    """
    return end_all(lambda: find_leftovers(state_dir, runner))


def end_all(find: Callable[[], Iterable[int]], kill: Callable[[int], bool] | None = None) -> list[Leftover]:
    """Kill the found processes until none is found, and return the survivors.

    Killed processes have _DYING_S_MAX seconds, and _SWEEP_S_MAX beside processes beyond the reach of a signal. The
    latter alone have _FOREIGN_S_MAX: sudo ends a moment after its program. `kill` returns whether a signal was sent.
    """
    begin_s, pause_s = time.monotonic(), _SWEEP_PAUSE_S
    while True:
        found = list(find())  # again each time: a process may have forked before the kill reached it
        was_reached = [(kill or _kill)(pid) for pid in found]
        waited_s = time.monotonic() - begin_s
        if waited_s >= _patience_s(was_reached) or not found:
            return [Leftover(pid) for pid in found]
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _SWEEP_PAUSE_S_MAX)


def outlast(find: Callable[[], Iterable[int]]) -> list[Leftover]:
    """Wait for the found processes to end, for at most _FOREIGN_S_MAX seconds, and return the others. Kill nothing."""
    return end_all(find, kill=lambda _pid: False)


def _patience_s(was_reached: list[bool]) -> float:
    if all(was_reached):
        return _DYING_S_MAX
    return _SWEEP_S_MAX if any(was_reached) else _FOREIGN_S_MAX


def find_marked(marker: str) -> list[int]:
    """Return the number of every process with a runner's marker in the environment."""
    wanted = f"{MARKER_VARIABLE}={marker}".encode()
    return [pid for pid in trial_mark.all_processes() if wanted in _environment(pid)]


def name_all(leftovers: list[Leftover]) -> str:
    """Return the first leftovers as words for people, and the number of the others."""
    named = ", ".join(map(str, leftovers[:_NAMED_MAX]))
    others = len(leftovers) - _NAMED_MAX
    return f"{named} and {others} more" if others > 0 else named


def remedy_of(survivors: list[Leftover]) -> str:
    """Return what a person can do about survivors."""
    foreign = [str(one.pid) for one in survivors if one.is_foreign]
    if not foreign:
        return "reboot the device: nothing else ends a process that is stuck in the kernel"
    return (
        f"sudo kill -KILL {' '.join(foreign)} on the device, or reboot the device; "
        "in the sweep, sudo timeout -s KILL SECONDS PROGRAM ends a program as root in time"
    )


def refusal_for(survivors: list[Leftover]) -> WorkerError:
    """Return the error for a start beside survivors."""
    message = f"left running by a trial, and not ours to end: {name_all(survivors)}"
    return WorkerError(ErrorKind.SURVIVOR, message, remedy_of(survivors), processes=listed(survivors))


def refusal_beside(strangers: list[Leftover]) -> WorkerError:
    """Return the error for a start beside what the trials of other state folders have left."""
    pids = " ".join(str(one.pid) for one in strangers)
    message = f"left running by a trial of another state folder: {name_all(strangers)}"
    hint = f"kill -KILL {pids} on the device, as their user or as root, or start a run of that state folder"
    return WorkerError(ErrorKind.SURVIVOR, message, hint, processes=listed(strangers))


def listed(leftovers: list[Leftover]) -> list[dict[str, Any]]:
    """Return the first leftovers as JSON objects."""
    return [one.to_json() for one in leftovers[:_LISTED_MAX]]


def _kill(pid: int, number: int = SIGKILL) -> bool:
    """Send a signal to a process, and return False if the process belongs to another user."""
    try:
        os.kill(pid, number)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def _user_of(pid: int) -> str:
    import pwd

    try:
        with open(f"/proc/{pid}/status") as file:
            uid = next(line for line in file if line.startswith("Uid:")).split()[2]
    except (OSError, StopIteration):  # /proc may hide the processes of other users
        return "another user"
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except KeyError:
        return f"user {uid}"


def _command_of(pid: int) -> str:
    from device_worker.protocol.printable import printable  # a process left behind is rare, and a start is not

    for name in ("cmdline", "comm"):  # a program may have emptied its command line
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                words = " ".join(printable(file.read(4096).replace(b"\0", b" ")).split())
        except OSError:
            continue
        if words:
            return words if len(words) <= _COMMAND_CHARACTERS_MAX else words[: _COMMAND_CHARACTERS_MAX - 1] + "…"
    return "of an unknown command"


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
