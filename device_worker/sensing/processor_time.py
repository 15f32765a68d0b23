"""Read what the processors of the machine did, and which part of that was the runner's and the trial's own.

Sources: proc_stat(5) and getrusage(2). Times are in clock ticks of 10 ms, of all processors together.
"""

from __future__ import annotations

from device_worker.system import system_files

_FILE = "/proc/stat"
_TICKS_PER_S = 100
_COARSENESS_TICKS = 2  # the ends of a reading fall between two ticks: so much of a difference may be rounding
_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

MISSING = f"{_FILE} has no line `cpu` with the {len(_FIELDS)} times of a kernel since 2.6.11, or counts nothing"
"""The reason for a reading of None."""


class ProcessorTime:
    """The time since boot, or between two readings.

    `busy` is the time of all tasks and interrupts. `own` is the part of the runner and of its ended descendants.
    `stolen` is what the host of a virtual machine took.
    """

    __slots__ = ("busy", "own", "processors", "stolen", "total")

    def __init__(self, *, total: float, busy: float, stolen: float, own: float, processors: int) -> None:
        self.total = total
        self.busy = busy
        self.stolen = stolen
        self.own = own
        self.processors = processors

    def since(self, earlier: ProcessorTime | None) -> ProcessorTime:
        """Return the time between an earlier reading and this one, or all of it without an earlier reading."""
        if earlier is None:
            return self
        return ProcessorTime(
            total=self.total - earlier.total,
            busy=self.busy - earlier.busy,
            stolen=self.stolen - earlier.stolen,
            own=self.own - earlier.own,
            processors=self.processors,
        )

    @property
    def is_counted(self) -> bool:
        """Whether the kernel counts at all. The kernel of a gVisor sandbox shows zeros, which are no idle machine."""
        return self.total > 0

    @property
    def stolen_percent(self) -> float:
        """The share of the wanted processor time that the host took, in per cent."""
        return _percent(self.stolen, self.busy + self.stolen)

    @property
    def others_percent(self) -> float:
        """The share of all processors' time that other work took, in per cent."""
        return _percent(self.busy - self.own, self.total)


def read_processor_time() -> ProcessorTime | None:
    """Return the time since boot, or None if the kernel does not tell."""
    text = system_files.read_text(_FILE) or ""
    name, *times = text.partition("\n")[0].split() or [""]
    if name != "cpu" or len(times) < len(_FIELDS) or not "".join(times).isdigit():
        return None
    ticks = [int(time) for time in times[: len(_FIELDS)]]  # guest time, behind these, is part of user and nice
    _user, _nice, _system, idle, iowait, _irq, _softirq, steal = ticks
    total, processors = sum(ticks), text.count("\ncpu")
    busy = total - idle - iowait - steal
    return ProcessorTime(total=total, busy=busy, stolen=steal, own=_own_ticks(), processors=max(1, processors))


def _own_ticks() -> float:
    import resource  # here: a start reads no times

    own = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return _TICKS_PER_S * sum(usage.ru_utime + usage.ru_stime for usage in own)


def _percent(part: float, whole: float) -> float:
    beyond_doubt = part - _COARSENESS_TICKS
    return 0.0 if beyond_doubt <= 0 or whole <= 0 else min(100.0, round(100.0 * beyond_doubt / whole, 2))
