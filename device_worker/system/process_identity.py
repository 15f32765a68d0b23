"""Identify a process for good, by boot, number and start time.

The kernel gives process numbers again, and state files outlive processes and boots. No process is ever signalled by
number alone. The functions here always read the real /proc, never a replayed tree (see system_files).
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# POSIX fixes both numbers. The module `signal` builds enums at its import, which every start would wait for.
SIGKILL, SIGTERM = 9, 15


BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id"


def python_executable() -> str:
    """Return the path of the interpreter that runs this process."""
    # Where `python -c` was started through an emptied environment, Python itself cannot tell.
    return sys.executable or os.readlink("/proc/self/exe")


def read_boot_id() -> str:
    """Return the kernel's random name for the present boot, or "" if the kernel has none."""
    try:
        with open(BOOT_ID_PATH) as file:
            return file.read().strip()
    except OSError:
        return ""


def read_start_ticks(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, or None if the process is gone or a zombie.

    Source: field 22 of /proc/PID/stat, see proc(5).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if len(fields) < 20 or fields[0] in (b"Z", b"X") else int(fields[19])


class ProcessIdentity:
    """The boot, the number and the start time of a process."""

    __slots__ = ("boot_id", "pid", "start_ticks")

    def __init__(self, pid: int, boot_id: str, start_ticks: int) -> None:
        self.pid = pid
        self.boot_id = boot_id
        self.start_ticks = start_ticks

    @classmethod
    def of_self(cls) -> ProcessIdentity:
        """Return the identity of the calling process."""
        return cls(os.getpid(), read_boot_id(), read_start_ticks(os.getpid()) or 0)

    @classmethod
    def from_json(cls, value: Any) -> ProcessIdentity | None:
        """Return the identity in an object of `to_json`, or None for any other value."""
        try:
            return cls(int(value["pid"]), str(value["boot_id"]), int(value["start_ticks"]))
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def read(cls, path: str) -> ProcessIdentity | None:
        """Return the identity in a file, or None if the file has none."""
        try:
            with open(path, "rb") as file:
                return cls.from_json(json.loads(file.read().decode("utf-8")))
        except (OSError, ValueError):
            return None

    def to_json(self) -> dict[str, Any]:
        """Return the identity as a JSON object."""
        return {"pid": self.pid, "boot_id": self.boot_id, "start_ticks": self.start_ticks}

    @property
    def marker(self) -> str:
        """The identity as a single word, for the environment of the process's descendants."""
        return f"{self.boot_id}.{self.pid}.{self.start_ticks}"

    @property
    def is_alive(self) -> bool:
        """Whether the very same process still runs."""
        return self.boot_id == read_boot_id() and self.start_ticks == read_start_ticks(self.pid)

    def terminate(self) -> bool:
        """Send SIGTERM to the process, and return False if the process is gone already."""
        if not self.is_alive:
            return False
        try:
            os.kill(self.pid, SIGTERM)
        except ProcessLookupError:
            return False
        return True


def send_signal(pid: int, number: int = SIGKILL) -> bool:
    """Send a signal to a process, and return False if the process belongs to another user."""
    try:
        os.kill(pid, number)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True
