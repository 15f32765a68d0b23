"""Mark the processes of trials, and find marked processes again, whoever owns them.

A mark is two settings of a process. Every descendant inherits both, through setsid, exec, setuid and sudo, and every
user may read both in /proc. An environment or a limit would not do: other users cannot read the one, and the PAM module
of sudo resets the other. `oom_score_adj` holds a number of the state folder, near the top, so that the kernel kills the
trial first if memory runs out, and not the runner or sshd. `coredump_filter` has two bits more than usual, for memory
that hardly any device has. Source: proc(5), core(5).
"""

from __future__ import annotations

import os
import zlib

from device_worker.system.system_files import read_bytes

_FOLDER = "/proc/self"
_LOADER = b"benchfleet-loader"
_SCORE_MIN = 900
_SCORES = 100
_DAX_BITS = 0x180
_NUMBER_BYTES_MAX = 32
_WALKS_MAX = 5
"""A parent that ends between two looks hands its children to the runner above: the next walk finds the runner."""


def number_of(state_dir: str) -> int:
    """Return the number of a state folder in marks. A hundred numbers are all that there are."""
    return _SCORE_MIN + zlib.crc32(os.path.realpath(state_dir).encode("utf-8", "surrogateescape")) % _SCORES


def mark_self(number: int) -> None:
    """Mark the calling process as far as the kernel allows."""
    _write("oom_score_adj", str(number))
    dumped = _read_number("self", "coredump_filter", 16)
    if dumped is not None:
        _write("coredump_filter", hex(dumped | _DAX_BITS))


def find_orphans(number: int | None) -> list[int]:
    """Return every marked process without a live runner among its ancestors. `number` None stands for every number."""
    marked = [pid for pid in all_processes() if _is_marked(pid, number)]
    runners: set[int] = set()  # fifty devices of one machine have a hundred marked processes, and few runners each
    # In this order: the ancestors of a process that ends meanwhile cannot be told.
    return [pid for pid in marked if not _has_runner(pid, runners) and not is_dead(pid)]


def all_processes() -> list[int]:
    """Return the numbers of all processes that /proc shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent_of(pid: int) -> int | None:
    """Return the number of a process's parent, or None if the process is gone or hidden."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[1])


def is_dead(pid: int) -> bool:
    """Return True for a process that is gone or a zombie."""
    fields = _stat_fields(pid)
    if fields is not None:
        return fields[0] in (b"Z", b"X")
    try:
        os.getsid(pid)  # where /proc hides the processes of other users, this call does not
    except ProcessLookupError:
        return True
    return False


def is_runner(pid: int) -> bool:
    """Return True for a process with the worker's command: a runner, or a worker that answers a controller."""
    try:
        return _LOADER in read_bytes(f"/proc/{pid}/cmdline")
    except OSError:
        return False


def _has_runner(pid: int, runners: set[int]) -> bool:
    """Return whether a runner is among the ancestors of a process. `runners` are known, and get a new one added."""
    for _ in range(_WALKS_MAX):
        found = _walk_to_runner(pid, runners)
        if found is not None:
            return found
    return False


def _walk_to_runner(pid: int, runners: set[int]) -> bool | None:
    """Return whether a runner is among the ancestors of a process, or None if an ancestor has just gone."""
    parent = parent_of(pid)
    while parent:
        if parent in runners or is_runner(parent):
            runners.add(parent)
            return True
        parent = parent_of(parent)
    return None if parent is None else False


def _is_marked(pid: int, number: int | None) -> bool:
    score = _read_number(str(pid), "oom_score_adj", 10)
    if score is None or not _SCORE_MIN <= score < _SCORE_MIN + _SCORES or number not in (None, score):
        return False
    return (_read_number(str(pid), "coredump_filter", 16) or 0) & _DAX_BITS == _DAX_BITS


def _stat_fields(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat behind the program's name, which may hold spaces and brackets."""
    try:
        return read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return None


def _read_number(process: str, name: str, base: int) -> int | None:
    try:
        fd = os.open(f"/proc/{process}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(fd, _NUMBER_BYTES_MAX), base)  # once: a scan asks this of every process of the machine
        finally:
            os.close(fd)
    except (OSError, ValueError):
        return None


def _write(name: str, value: str) -> None:
    try:
        with open(f"{_FOLDER}/{name}", "w") as file:
            file.write(value)
    except OSError:  # a read-only /proc, or a container that fixes the score
        pass
