"""Watch for other work on the CPUs, by the share of time with tasks waiting for a CPU.

Source: the kernel's Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import time

from device_worker.sensing.conditions.base import ConditionDuringTrial
from device_worker.sensing.processor_time import ProcessorTime, read_processor_time
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading

_FILE = "/proc/pressure/cpu"
_NS_PER_US = 1000


class CpuPressure(ConditionDuringTrial):
    """The share of time, in per cent, in which at least one runnable task waited for a CPU.

    A reading covers the time since the reading before: after a trial, just the trial. The first reading of a runner is
    the kernel's average over the last 10 s instead. A trial with more threads than processors makes pressure of its
    own, which is no breach.
    """

    reading = "cpu_pressure_percent"
    limit = "cpu_pressure_max_percent"
    invalid = "cpu-pressure"
    unanswered = "cpu-pressure-unknown"

    def __init__(self) -> None:
        self._last_total_us: int | None = None
        self._last_ns = 0
        self._last_time: ProcessorTime | None = None
        self._by_others_percent: float | None = None
        self._unknown = ""

    def read(self) -> float | None:
        """Return the pressure since the last reading."""
        self._by_others_percent = self._find_share_of_others()
        text = system_files.read_text(_FILE)
        if text is None:
            self._unknown = f"{_FILE} cannot be read: the kernel is older than 4.20, or started without psi=1"
            return None
        average, total_us = _parse(text)
        if average is None or total_us is None:
            self._unknown = f"{_FILE} has no line `some` with avg10 and total"
            return None
        last_total_us, last_ns = self._last_total_us, self._last_ns
        self._last_total_us, self._last_ns = total_us, time.monotonic_ns()
        if last_total_us is None or self._last_ns <= last_ns:
            return average
        # The kernel's clock and ours differ by microseconds, so that full pressure may come out just above 100 %.
        stalled_ns = max(0, total_us - last_total_us) * _NS_PER_US
        return min(100.0, 100.0 * stalled_ns / (self._last_ns - last_ns))

    def explain_unknown(self) -> str:
        """Return the problem with the kernel's file."""
        return self._unknown

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if the trial itself is invalid, unless the trial's own threads alone can have waited so long."""
        if isinstance(limit, (int, float)) and self._by_others_percent is not None and self._by_others_percent <= limit:
            return False
        return super().is_breached(before, after, limit)

    def _find_share_of_others(self) -> float | None:
        """Return the longest time that tasks can have waited for other work, in per cent, or None if unknown."""
        now, last = read_processor_time(), self._last_time
        if now is None:
            return None
        self._last_time = now
        found = now.since(last)
        # Nobody waits for others for longer than the others run.
        return found.others_percent * found.processors


def _parse(text: str) -> tuple[float | None, int | None]:
    """Return avg10 (per cent) and total (microseconds) of the line `some`."""
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        if word == "some":
            values = dict(pair.partition("=")[::2] for pair in rest.split())
            return system_files.parse_float(values.get("avg10")), system_files.parse_int(values.get("total"))
    return None, None
