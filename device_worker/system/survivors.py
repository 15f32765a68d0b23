"""Describe the survivors among the processes that ended trials have left.

A program under sudo belongs to another user, and a signal of ours does not reach the program. A process may also be
stuck in the kernel. Such a process is a survivor. The worker never calls sudo: a plan is no reason to act as root.
"""

from __future__ import annotations

import pwd

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.printable import printable
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system.process_identity import send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
        self.is_foreign = not send_signal(pid, 0)

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} ({self.command})"

    def to_json(self) -> dict[str, Any]:
        """Return the leftover as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


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


def _user_of(pid: int) -> str:
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
    for name in ("cmdline", "comm"):  # a program may have emptied its command line
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                words = " ".join(printable(file.read(4096).replace(b"\0", b" ")).split())
        except OSError:
            continue
        if words:
            return words if len(words) <= _COMMAND_CHARACTERS_MAX else words[: _COMMAND_CHARACTERS_MAX - 1] + "…"
    return "of an unknown command"
