"""Time a callable by a rule, without any other work inside the measured interval.

The loop is the instrument: two clock readings around the call, a store into allocated memory, an addition and two
comparisons. All other work happens before and after the loop.
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
    from typing import Callable

    from device_worker.protocol.specification import MeasureRule

_SHORT_CALL_NS = 5000
_BATCH_NS = 20000
_BATCH_CALLS_MAX = 65536
_CHUNK_SAMPLES = 65536
_NS = 1000000000


class StopRule:
    """When to stop: after enough runs and enough time, or at the maximum of either."""

    __slots__ = ("ns_max", "ns_min", "runs_max", "runs_min")

    def __init__(self, runs_min: int, seconds_min: float, runs_max: int, seconds_max: float) -> None:
        self.runs_max = max(1, min(runs_max, SAMPLES_MAX))
        self.runs_min = min(runs_min, self.runs_max)
        self.ns_min = int(seconds_min * _NS)
        self.ns_max = max(int(seconds_max * _NS), self.ns_min)

    @classmethod
    def of_warmup(cls, measure: MeasureRule) -> StopRule:
        """Return the rule of a plan's warm-up. The maximum time is the measurement's."""
        return cls(max(1, measure.warmup_runs_min), measure.warmup_seconds_min, SAMPLES_MAX, measure.seconds_max)

    @classmethod
    def of_measurement(cls, measure: MeasureRule) -> StopRule:
        """Return the rule of a plan's measured part."""
        return cls(measure.runs_min, measure.seconds_min, measure.runs_max, measure.seconds_max)


_TRIAL_BATCHES = StopRule(runs_min=9, seconds_min=0.0, runs_max=9, seconds_max=1.0)


class Timing:
    """The result of timing: a sample in ns for each `batch` calls (the mean of the batch).

    `begin_ns` and `end_ns` are readings of CLOCK_MONOTONIC around all samples. `involuntary_switches` counts how often
    the kernel took the processor away (ru_nivcsw, see getrusage(2)).
    """

    __slots__ = ("batch", "begin_ns", "end_ns", "involuntary_switches", "samples")

    def __init__(self, samples: array[int], batch: int, begin_ns: int, end_ns: int, involuntary_switches: int) -> None:
        self.samples = samples
        self.batch = batch
        self.begin_ns = begin_ns
        self.end_ns = end_ns
        self.involuntary_switches = involuntary_switches

    @property
    def steady_ratio(self) -> float | None:
        """The median of the last third divided by the median of the first third, or None if unknown.

        A ratio far from 1 means that the device was not in a steady state. Fewer than three samples give None.
        """
        third = len(self.samples) // 3
        first = median(self.samples[:third])
        return median(self.samples[-third:]) / first if third and first else None


def time_calls(
    invoke: Callable[[], object], rule: StopRule, batch: int = 1, prepare: Callable[[], object] | None = None
) -> Timing:
    """Call `invoke` until the rule stops, and return a sample for each `batch` calls.

    `prepare` is called before each single call, outside of its time.
    """
    samples = array("Q")
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    begin = end = perf_counter_ns()
    while not _is_enough(len(samples), end - begin, rule):
        # Memory for a whole chunk now, so that no sample inside the loop has to allocate.
        room = min(_CHUNK_SAMPLES, rule.runs_max - len(samples))
        chunk = array("Q", bytes(8 * room))
        limits = (rule.runs_min - len(samples), begin + rule.ns_min, begin + rule.ns_max)
        if prepare is not None:
            filled, end = _fill_prepared(invoke, prepare, chunk, limits)
        elif batch == 1:
            filled, end = _fill(invoke, chunk, limits)
        else:
            filled, end = _fill_in_batches(invoke, chunk, limits, batch)
        samples.extend(chunk[:filled])
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
    return Timing(samples, batch, begin, end, switches)


def choose_batch(invoke: Callable[[], object], warmup: Timing) -> int:
    """Return the number of calls to time together as a sample, 1 unless calls are very short.

    Batches are tried until a batch lasts _BATCH_NS.
    """
    # The clock costs too much beside a very short call. The time of single calls says too much for a direct division,
    # since the time includes the clock's own.
    call_ns = median(warmup.samples[-1000:])
    batch = 1
    while call_ns < _SHORT_CALL_NS and call_ns * batch < _BATCH_NS and batch < _BATCH_CALLS_MAX:
        # Grow by an eighth at least: with a coarse clock a batch may read as no time.
        batch = min(_BATCH_CALLS_MAX, max(batch + 1 + batch // 8, ceil(_BATCH_NS / max(1.0, call_ns))))
        call_ns = median(time_calls(invoke, _TRIAL_BATCHES, batch).samples)
    return batch


def median(values: array[int]) -> float:
    """Return the median, or 0.0 for no values."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return 0.0
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _is_enough(runs: int, ns: int, rule: StopRule) -> bool:
    if runs == 0:
        return False
    return runs >= rule.runs_max or ns >= rule.ns_max or (runs >= rule.runs_min and ns >= rule.ns_min)


def _fill(invoke: Callable[[], object], chunk: array[int], limits: tuple[int, int, int]) -> tuple[int, int]:
    """Time single calls into the chunk, and return the number of samples and the time of the end.

    `limits` are the least number of runs, and the earliest and latest end in ns. Stop at the latest when the chunk is
    full.
    """
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


def _fill_prepared(
    invoke: Callable[[], object], prepare: Callable[[], object], chunk: array[int], limits: tuple[int, int, int]
) -> tuple[int, int]:
    """Fill the chunk as in `_fill`, with `prepare` called before each call, outside of the sample."""
    clock = perf_counter_ns
    runs_min, ns_min, ns_max = limits
    index, room, after = 0, len(chunk), 0
    while index < room:
        prepare()
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
    """Fill the chunk as in `_fill`, with a sample for each `batch` calls."""
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
