"""Leave no process of a trial behind.

A trial has a session of its own, and its process group is killed when it ends. Two kernel services, reached by ctypes
where Python has it, close what that leaves open: descendants that left the group become children of the runner, and a
trial dies with its runner. Should even that fail, the next runner finds leftovers by a marker in their environment.
"""

from __future__ import annotations

import os
import signal
import time

from device_worker.process_identity import ProcessIdentity, read_boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

MARKER_VARIABLE = "BENCHFLEET_RUNNER"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SWEEP_S_MAX = 5.0
_SWEEP_PAUSE_S = 0.005


class Containment:
    """The runner's hold over its descendants."""

    def __init__(self) -> None:
        self._prctl = _load_prctl()
        if self._prctl:
            self._prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def die_with(self, parent: int) -> None:
        """Tie the calling process, a new child, to the life of its parent."""
        if self._prctl:
            self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    def kill_group(self, leader: int) -> None:
        """Kill a process group whose leader has not been reaped yet: until then its number is nobody else's."""
        try:
            os.killpg(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def kill_orphans(self) -> None:
        """Kill and reap every child of the runner; between trials it has none of its own."""
        deadline = time.monotonic() + _SWEEP_S_MAX
        while time.monotonic() < deadline:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                for child in _children():
                    _kill(child)
                time.sleep(_SWEEP_PAUSE_S)


def find_marked(marker: str) -> list[int]:
    """Return every process whose environment bears a runner's marker."""
    wanted = f"{MARKER_VARIABLE}={marker}".encode()
    return [pid for pid in all_processes() if wanted in _environment(pid)]


def kill_marked(marker: str) -> int:
    """Kill every process whose environment bears a runner's marker; return how many there were."""
    killed: set[int] = set()
    deadline = time.monotonic() + _SWEEP_S_MAX
    while time.monotonic() < deadline:
        found = find_marked(marker)
        if not found:
            break
        for pid in found:
            _kill(pid)
        killed.update(found)
        time.sleep(_SWEEP_PAUSE_S)
    return len(killed)


def end_leftovers(runner: ProcessIdentity | None) -> None:
    """End what a runner that was killed has left running; what an earlier boot left is gone by itself."""
    if runner is not None and runner.boot_id == read_boot_id():
        kill_marked(runner.marker)


def _load_prctl() -> Callable[[int, int], int] | None:
    try:
        import ctypes

        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        return None
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    return lambda option, value: int(prctl(option, value, 0, 0, 0))


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _children() -> list[int]:
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [child for child in all_processes() if _parent_of(child) == pid]


def all_processes() -> list[int]:
    """Return the numbers of all processes that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
