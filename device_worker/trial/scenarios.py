"""Time a model in the scenarios of MLPerf Inference, with the percentiles of its LoadGen.

An invocation is a sample there. Queries follow one another, or arrive by a Poisson process (`server`): the latency of
a query then begins with its scheduled arrival, whether the model was ready or not.
"""

from __future__ import annotations

import resource
from array import array
from time import monotonic_ns, perf_counter_ns, sleep

from device_worker.trial.measurement import Timing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from device_worker.protocol.specification import MeasureRule
    from device_worker.trial.measurement import StopRule

SINGLE_STREAM, MULTI_STREAM, OFFLINE, SERVER = "single-stream", "multi-stream", "offline", "server"
P99_SHARE = 0.99
_PERCENTILES = {SINGLE_STREAM: 0.90, MULTI_STREAM: P99_SHARE, SERVER: P99_SHARE}
"""The percentile that each scenario is judged by. Offline is judged by throughput."""
_NS_PER_S = 1000000000
_SPIN_NS = 500000


class Queries:
    """The queries of a scenario: `latencies` of queries, and `timing` with a sample for each invocation."""

    __slots__ = ("latencies", "scenario", "timing")

    def __init__(self, scenario: str, latencies: array[int], timing: Timing) -> None:
        self.scenario = scenario
        self.latencies = latencies
        self.timing = timing

    def items_per_s(self, batch: int) -> float:
        """Return the items that were done in each second from the first query to the last answer."""
        taken_ns = self.timing.end_ns - self.timing.begin_ns
        return batch * len(self.timing.samples) * _NS_PER_S / max(1, taken_ns)

    def percentile(self) -> tuple[str, int] | None:
        """Return metric and value of the percentile that the scenario is judged by, or None."""
        share = _PERCENTILES.get(self.scenario)
        return None if share is None else (f"mlperf_p{round(100 * share)}_ns", percentile(self.latencies, share))


def percentile(latencies: array[int], share: float) -> int:
    """Return a percentile as LoadGen does: of n sorted latencies the one at the place n times the share, from 0."""
    ordered = sorted(latencies)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def run_queries(
    invoke: Callable[[], object], measure: MeasureRule, rule: StopRule, seed: int, rate_per_s: float | None = None
) -> Queries:
    """Send queries until the rule has enough of them. The rule's runs are queries.

    `rate_per_s` is for a server, in place of the rate that the measure names.
    """
    scenario = measure.scenario or SINGLE_STREAM
    invocations = measure.streams if scenario == MULTI_STREAM else 1
    times = poisson_arrivals(rate_per_s or measure.rate_per_s, seed) if scenario == SERVER else None
    latencies, samples = array("Q"), array("Q")
    switches_before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    begin_mono_ns, begin = monotonic_ns(), perf_counter_ns()
    while True:
        scheduled = perf_counter_ns() if times is None else begin + next(times)
        if times is not None:
            _wait_until(scheduled)
        for _ in range(invocations):
            before = perf_counter_ns()
            invoke()
            after = perf_counter_ns()
            samples.append(after - before)
        latencies.append(max(0, after - scheduled))
        count, taken_ns = len(latencies), after - begin
        if count >= rule.runs_max or taken_ns >= rule.ns_max:
            break
        if count >= rule.runs_min and taken_ns >= rule.ns_min:
            break
    end_mono_ns = monotonic_ns()
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches_before
    return Queries(scenario, latencies, Timing(samples, 1, begin_mono_ns, end_mono_ns, switches))


def poisson_arrivals(rate_per_s: float, seed: int) -> Iterator[int]:
    """Yield the times of arrivals in ns from the begin on, with exponential gaps: a Poisson process."""
    from random import Random  # few trials need it

    drawn, at = Random(seed), 0.0  # noqa: S311 arrivals are no secret
    while True:
        at += drawn.expovariate(rate_per_s) * _NS_PER_S
        yield int(at)


def _wait_until(due: int) -> None:
    """Wait for a time of perf_counter_ns: asleep, and awake for the last half millisecond."""
    while True:
        left = due - perf_counter_ns()
        if left <= 0:
            return
        if left > 2 * _SPIN_NS:
            sleep((left - _SPIN_NS) / _NS_PER_S)
