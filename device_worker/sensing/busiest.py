"""Tell which other processes have taken the most processor time since the last look."""

from __future__ import annotations

import os
import time

from device_worker.protocol.printable import printable
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple, Union

    Found = List[Dict[str, Union[str, int, float]]]
    Key = Tuple[int, bytes]

_PROC = "/proc"
_TICKS_PER_S = 100
_NAMED_MAX = 3
_PERCENT_MIN = 1.0
_PROCESSES_MAX = 4096
_USER_TIME, _SYSTEM_TIME, _STARTED = 11, 12, 19
"""Places behind the name in /proc/PID/stat: proc(5) counts the state behind the name as 3, and utime as 14."""


class Busiest:
    """The processes of the machine, by the processor time that each has taken. The caller's own is left out."""

    def __init__(self) -> None:
        self._ticks: dict[Key, int] = {}
        self._at_s: float | None = None

    def read(self) -> Found | None:
        """Return up to three processes with at least 1 % of a processor since the last look, the busiest first.

        Return None at the first look, and where the kernel names no processes.
        """
        names, ticks = _read_processes()
        before, self._ticks = self._ticks, ticks
        began_s, self._at_s = self._at_s, time.monotonic()
        if began_s is None or not ticks:
            return None
        elapsed_s = max(self._at_s - began_s, 1.0 / _TICKS_PER_S)
        # A process that was not there at the last look has taken all of its time since.
        taken = {key: count - before.get(key, 0) for key, count in ticks.items()}
        found: Found = []
        for key in sorted(taken, key=lambda one: (-taken[one], one))[:_NAMED_MAX]:
            percent = round(100.0 * taken[key] / _TICKS_PER_S / elapsed_s, 1)
            if percent >= _PERCENT_MIN:
                name = printable(names[key].partition(b"(")[2])
                found.append({"name": name, "pid": key[0], "cpu_percent": percent})
        return found


def _read_processes() -> tuple[dict[Key, bytes], dict[Key, int]]:
    """Return name and ticks of each process but the caller, by number and time of start: numbers are used again."""
    names: dict[Key, bytes] = {}
    ticks: dict[Key, int] = {}
    root, own = system_files.resolve(_PROC), str(os.getpid())
    try:
        numbers = [name for name in os.listdir(root) if name.isdigit() and name != own]
    except OSError:
        numbers = []
    # Hundreds of processes are read twice for each trial: what a line costs here, each trial pays.
    for number in numbers[:_PROCESSES_MAX]:
        try:
            line = system_files.read_line(f"{root}/{number}/stat")
        except OSError:  # it has ended
            continue
        head, _, tail = line.rpartition(b")")  # the name may hold spaces and brackets
        fields = tail.split(None, _STARTED + 1)
        if len(fields) > _STARTED and fields[_USER_TIME].isdigit() and fields[_SYSTEM_TIME].isdigit():
            key = (int(number), fields[_STARTED])
            names[key] = head
            ticks[key] = int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
    return names, ticks
