"""Tell one process from every other that had or will have its number.

Process numbers are used again, and state files outlive both processes and boots. Boot, number and start time together
name one process for good; nothing is ever signalled on its number alone. These reads are of the real /proc, always.
"""

from __future__ import annotations

import json
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_boot_id() -> str:
    """Return the kernel's name for this boot, or "" where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def read_start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if len(fields) < 20 or fields[0] in (b"Z", b"X") else int(fields[19])


class ProcessIdentity:
    """One process of one boot."""

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
        """Return what `to_json` wrote, or None for anything else."""
        try:
            return cls(int(value["pid"]), str(value["boot_id"]), int(value["start_ticks"]))
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def read(cls, path: str) -> ProcessIdentity | None:
        """Return the identity in a file, or None where there is none."""
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
        """The identity in one word, for the environment of a process's descendants."""
        return f"{self.boot_id}.{self.pid}.{self.start_ticks}"

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot_id == read_boot_id() and self.start_ticks == read_start_ticks(self.pid)

    def terminate(self) -> bool:
        """Ask the process to end; say whether it was still there."""
        if not self.is_alive:
            return False
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return False
        return True
