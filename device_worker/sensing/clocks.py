"""Read, while a trial runs, the clocks of the processors that the trial's threads run on."""

from __future__ import annotations

import os
import time

from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PERIOD_S = 0.25
_CPUS = "/sys/devices/system/cpu"
_STATE, _PROCESSOR = 0, 36
"""Places behind the name in /proc/PID/stat: proc(5) counts the state as 3 and the processor as 39."""
_READINGS_MAX = 100000
_PROCESSES_MAX = 64
_NO_CLOCK = "the kernel tells no clock of a processor (no cpufreq)"
_NEVER_SEEN = "no thread of the trial was found running while the clocks were read"


class ClockWatch:
    """Clocks as shares of the highest of their processor. The slowest of the running threads' processors counts.

    A processor without work may be as slow as it likes, which says nothing of the trial.
    """

    period_s = PERIOD_S

    def __init__(self) -> None:
        self._readings: list[tuple[int, float]] = []
        self._reason = _NEVER_SEEN
        self.overhead_cpu_ns = 0

    def observe(self, pid: int) -> None:
        """Read the clocks under the running threads of a process."""
        begin = time.thread_time_ns()
        shares = [share for share in map(_share, _running_on(pid)) if share is not None]
        if shares and len(self._readings) < _READINGS_MAX:
            self._readings.append((time.monotonic_ns(), min(shares)))
        self.overhead_cpu_ns += time.thread_time_ns() - begin

    def percent(self, window: dict[str, Any] | None) -> float | None:
        """Return the mean clock within the measured part of the trial, in per cent, or None."""
        begin, end = ((window or {}).get(key) for key in ("begin_mono_ns", "end_mono_ns"))
        readings = self._readings
        if isinstance(begin, int) and isinstance(end, int):
            readings = [(at, share) for at, share in readings if begin <= at <= end]
        inside = [share for _, share in readings]
        return 100.0 * sum(inside) / len(inside) if inside else None

    def explain(self) -> str:
        """Return why there is no mean clock."""
        return explain_no_clock() or (_NEVER_SEEN if not self._readings else "the measured part was too short to see")


def explain_no_clock() -> str | None:
    """Return why the device cannot tell its clocks, or None if it can."""
    cpus = system_files.list_folder(_CPUS, "cpu")
    names = ("scaling_cur_freq", "cpuinfo_max_freq")
    # Looked for, not read: a driver may hang.
    tells = any(all(system_files.exists(f"{cpu}/cpufreq/{name}") for name in names) for cpu in cpus)
    return None if tells else _NO_CLOCK


def _running_on(pid: int) -> set[int]:
    """Return the processors of the threads of a process and of its descendants that are running now."""
    found = set()
    left, seen = [str(pid)], 0
    while left and seen < _PROCESSES_MAX:
        seen += 1
        for thread in _threads(left.pop()):
            fields = _read(f"{thread}/stat").rpartition(")")[2].split()  # the name may hold spaces and brackets
            if len(fields) > _PROCESSOR and fields[_STATE] == "R":
                found.add(int(fields[_PROCESSOR]))
            left += _read(f"{thread}/children").split()  # a shell waits for the program that works
    return found


def _threads(pid: str) -> list[str]:
    # Processes of this machine, whatever tree is replayed for sensors.
    try:
        return [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        return system_files.read_bytes(path, 4096).decode("ascii", "replace")
    except OSError:  # it has ended, or the kernel names no children
        return ""


def _share(processor: int) -> float | None:
    return _share_of(f"{_CPUS}/cpu{processor}")


def _share_of(cpu: str) -> float | None:
    now = system_files.read_int(f"{cpu}/cpufreq/scaling_cur_freq")
    most = system_files.read_int(f"{cpu}/cpufreq/cpuinfo_max_freq")
    return now / most if now and most and now > 0 and most > 0 else None
