"""Time one callable, by rule, with nothing of ours inside the measured interval.

The loop is the instrument: two clock readings around the call, a store into memory that is already there, one addition
and two comparisons. Everything else happens before and after it.
"""

from __future__ import annotations

import resource
from array import array
from itertools import repeat
from math import ceil
from time import perf_counter_ns

from device_worker.protocol.samples import SAMPLES_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_SHORT_CALL_NS = 5000
_BATCH_NS = 20000
_BATCH_CALLS_MAX = 65536
_CHUNK_SAMPLES = 65536
_NS = 1000000000


class Rule:
    """When to stop: enough runs and enough time, or too much of either."""

    __slots__ = ("ns_max", "ns_min", "runs_max", "runs_min")

    def __init__(self, runs_min: int, seconds_min: float, runs_max: int, seconds_max: float) -> None:
        self.runs_max = max(1, min(runs_max, SAMPLES_MAX))
        self.runs_min = min(runs_min, self.runs_max)
        self.ns_min = int(seconds_min * _NS)
        self.ns_max = max(int(seconds_max * _NS), self.ns_min)

    @classmethod
    def of_warmup(cls, measure: dict[str, Any]) -> Rule:
        """Return the rule of a plan's warm-up, which is bounded in time like the measurement."""
        runs, seconds = measure["warmup_runs_min"], measure["warmup_seconds_min"]
        return cls(max(1, runs), seconds, SAMPLES_MAX, measure["seconds_max"])

    @classmethod
    def of_measurement(cls, measure: dict[str, Any]) -> Rule:
        """Return the rule of a plan's measured part."""
        return cls(measure["runs_min"], measure["seconds_min"], measure["runs_max"], measure["seconds_max"])


_TRIAL_BATCHES = Rule(runs_min=9, seconds_min=0.0, runs_max=9, seconds_max=1.0)


class Timing:
    """What was timed: one sample per `batch` calls (their mean), between two readings of CLOCK_MONOTONIC."""

    __slots__ = ("batch", "begin_ns", "end_ns", "involuntary_switches", "samples")

    def __init__(self, samples: array[int], batch: int, begin_ns: int, end_ns: int, involuntary_switches: int) -> None:
        self.samples = samples
        self.batch = batch
        self.begin_ns = begin_ns
        self.end_ns = end_ns
        self.involuntary_switches = involuntary_switches

    @property
    def steady_ratio(self) -> float | None:
        """The median of the last third over that of the first; None for fewer than three samples."""
        third = len(self.samples) // 3
        first = median(self.samples[:third])
        return median(self.samples[-third:]) / first if third and first else None


def time_calls(invoke: Callable[[], object], rule: Rule, batch: int = 1) -> Timing:
    """Call until the rule says stop; return a sample for each `batch` calls."""
    samples = array("Q")
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    begin = end = perf_counter_ns()
    while not _is_enough(len(samples), end - begin, rule):
        room = min(_CHUNK_SAMPLES, rule.runs_max - len(samples))
        chunk = array("Q", bytes(8 * room))
        limits = (rule.runs_min - len(samples), begin + rule.ns_min, begin + rule.ns_max)
        filled, end = _fill(invoke, chunk, limits) if batch == 1 else _fill_in_batches(invoke, chunk, limits, batch)
        samples.extend(chunk[:filled])
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
    return Timing(samples, batch, begin, end, switches)


def choose_batch(invoke: Callable[[], object], warmup: Timing) -> int:
    """Return how many calls to time together: reading the clock costs too much beside a very short call.

    What single calls took says too much, since it holds the clock's own time: batches are tried until they last.
    """
    call_ns = median(warmup.samples[-1000:])
    batch = 1
    while call_ns < _SHORT_CALL_NS and call_ns * batch < _BATCH_NS and batch < _BATCH_CALLS_MAX:
        batch = min(_BATCH_CALLS_MAX, max(batch + 1 + batch // 8, ceil(_BATCH_NS / max(1.0, call_ns))))
        call_ns = median(time_calls(invoke, _TRIAL_BATCHES, batch).samples)
    return batch


def median(values: array[int]) -> float:
    """Return the median, 0 of nothing."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return 0.0
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _is_enough(runs: int, ns: int, rule: Rule) -> bool:
    if runs == 0:
        return False
    return runs >= rule.runs_max or ns >= rule.ns_max or (runs >= rule.runs_min and ns >= rule.ns_min)


def _fill(invoke: Callable[[], object], chunk: array[int], limits: tuple[int, int, int]) -> tuple[int, int]:
    """Time single calls until the chunk is full or (runs, earliest end, latest end) are met; return samples and end."""
    clock = perf_counter_ns
    runs_min, ns_min, ns_max = limits
    index, room, after = 0, len(chunk), 0
    while index < room:
        before = clock()
        invoke()
        after = clock()
        chunk[index] = after - before
        index += 1
        if after >= ns_min and (index >= runs_min or after >= ns_max):
            break
    return index, after


def _fill_in_batches(
    invoke: Callable[[], object], chunk: array[int], limits: tuple[int, int, int], batch: int
) -> tuple[int, int]:
    """Do as `_fill` does, with a sample for each `batch` calls."""
    clock = perf_counter_ns
    runs_min, ns_min, ns_max = limits
    index, room, after = 0, len(chunk), 0
    while index < room:
        calls = repeat(None, batch)
        before = clock()
        for _ in calls:
            invoke()
        after = clock()
        chunk[index] = (after - before) // batch
        index += 1
        if after >= ns_min and (index >= runs_min or after >= ns_max):
            break
    return index, after
