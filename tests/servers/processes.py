"""The processes that a test server has started, as /proc shows them, and how to end them and no others."""

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
NO_LIMIT = resource.RLIM_INFINITY


def dies_with_us(command: list[str], stop_signal: signal.Signals) -> list[str]:
    """Wrap `command` so that the kernel sends it `stop_signal` should this process die without stopping it.

    The kernel watches the thread that starts the command: start long-lived servers from the main thread.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop_signal.name, "--", *command] if setpriv else command


def children(parent: int) -> list[int]:
    """Return the process ids just below `parent`."""
    return [pid for pid in _all() if _parent(pid) == parent]


def descendants(ancestor: int) -> list[int]:
    """Return the process ids below `ancestor`, parents before children."""
    found = [ancestor]
    for pid in found:
        found.extend(children(pid))
    return found[1:]


def with_environment(assignment: str) -> list[int]:
    """Return the processes of ours that were started with `NAME=value` in their environment."""
    needle = assignment.encode()
    found = []
    for pid in _all():
        with suppress(OSError):
            if needle in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def name(pid: int) -> str:
    """Return the name of the program that the process runs, or nothing once it has ended."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def kill(pids: Iterable[int]) -> None:
    """End the processes with SIGKILL, and return when they are gone."""
    pids = list(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(_state(pid) in {"", "Z", "X"} for pid in pids), "killed processes are gone")


def pause(pid: int) -> None:
    """Stop the process from running, so that it starts no other; SIGCONT lets it go on."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _state(pid) in {"T", "Z", ""}, f"process {pid} is paused")


def limit_files(pid: int, bytes_max: int) -> None:
    """Let no file that a process writes grow beyond this, from now on, as if its disk were full there."""
    _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (bytes_max, hard))


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 10) -> None:
    """Poll until `condition` holds; raise TimeoutError, naming `what` was awaited, if it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s} s until: {what}")
        time.sleep(0.005)


def _all() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (the name before it may hold anything)."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None
