"""Search the highest rate of a server whose 99th percentile stays under a bound.

A rate that a model could not serve for ever is no answer, however short the queries were sent: the search stays below
the rate at which the model is always busy. What is reported was confirmed by a whole measurement with new arrivals.
"""

from __future__ import annotations

from math import sqrt
from time import perf_counter_ns

from device_worker.trial.measurement import StopRule, median
from device_worker.trial.scenarios import P99_SHARE, percentile, run_queries
from device_worker.trial.side_by_side import connect, run_side_by_side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from device_worker.protocol.specification import MeasureRule
    from device_worker.trial.measurement import Timing
    from device_worker.trial.scenarios import Queries
    from device_worker.trial.side_by_side import Lane

    Probe = Callable[[float, int, StopRule], Queries]

QUERIES_MIN = 300
"""A 99th percentile of fewer queries has no interval."""

RESOLUTION = 1.02
"""How close the rate that holds and the rate that does not must be: 2 %."""

_BUSY_MIN = 0.001
_STEP_DOWN = 0.95
_PROBE_SHARE = 16
_ALL_AT_ONCE_PER_S = 1e9
_BURSTS = 3
_BURST_PER_LANE = 50
_NS_PER_S = 1000000000


class RateSearch:
    """A search. `queries` are of the last measurement, at `rate_per_s`; `reason` is None if that rate held the bound.

    `probes` counts the measurements, the confirming ones included.
    """

    def __init__(self, bound_ns: float, capacity_per_s: float, probe: Probe, rule: StopRule) -> None:
        self.queries: Queries
        self.rate_per_s = 0.0
        self.reason: str | None = None
        self.probes = 0
        self._bound_ns = bound_ns
        self._high = capacity_per_s
        self._low_min = capacity_per_s * _BUSY_MIN
        self._probe = probe
        self._rule = rule
        self._end_ns = perf_counter_ns() + rule.ns_max

    def run(self) -> None:
        """Halve the span of rates until it is narrow, then confirm the rate that held, or a lower one."""
        low: float | None = None
        rate = self._high / 2
        while self._has_time() and rate > self._low_min and (low is None or self._high / low > RESOLUTION):
            if self._holds(rate, 0, self._brief()):
                low = rate
            else:
                self._high = rate
            rate = self._high / 4 if low is None else sqrt(low * self._high)
        if low is None:
            self.reason = self._explain_nothing()
            return
        while low > self._low_min:
            if self._holds(low, 1, self._full()):
                return
            if not self._has_time():
                self.reason = f"seconds_max ended the search at {low:.4g} queries a second, unconfirmed"
                return
            low *= _STEP_DOWN
        self.reason = self._explain_nothing()

    def _holds(self, rate_per_s: float, further_seed: int, rule: StopRule) -> bool:
        """Send queries at a rate, and return True if enough of them were sent and the bound held."""
        self.probes += 1
        queries = self._probe(rate_per_s, further_seed, rule)
        latencies = queries.latencies
        if not latencies:  # the time was over before the first query
            return False
        self.rate_per_s, self.queries = rate_per_s, queries
        return len(latencies) >= rule.runs_min and percentile(latencies, P99_SHARE) <= self._bound_ns

    def _brief(self) -> StopRule:
        """Return the rule of a probe: fewer queries than of the measurement that counts."""
        return self._limited(min(self._rule.runs_min, 4 * QUERIES_MIN), self._rule.ns_max // _PROBE_SHARE)

    def _full(self) -> StopRule:
        return self._limited(self._rule.runs_min, self._rule.ns_min)

    def _limited(self, runs_min: int, ns_min: int) -> StopRule:
        left_s = max(0, self._end_ns - perf_counter_ns()) / _NS_PER_S
        seconds_min = min(min(ns_min, self._rule.ns_min) / _NS_PER_S, left_s)
        return StopRule(max(QUERIES_MIN, runs_min), seconds_min, self._rule.runs_max, left_s)

    def _has_time(self) -> bool:
        return perf_counter_ns() < self._end_ns

    def _explain_nothing(self) -> str:
        if not self._has_time():
            return f"seconds_max ended the search before any rate held; the last was {self.rate_per_s:.4g} a second"
        bound_ms, found_ms = self._bound_ns / 1e6, percentile(self.queries.latencies, P99_SHARE) / 1e6
        return f"no rate holds {bound_ms:.4g} ms: the p99 at {self.rate_per_s:.4g} a second is {found_ms:.4g} ms"


def search_rate(
    invoke: Callable[[], object], measure: MeasureRule, rule: StopRule, warmup: Timing, seed: int
) -> RateSearch:
    """Search the highest rate that holds the measure's bound. Inferences of the warm-up say what is possible at all."""

    def probe(rate_per_s: float, further_seed: int, limits: StopRule) -> Queries:
        return run_queries(invoke, measure, limits, seed + further_seed, rate_per_s)

    service_ns = max(1.0, median(warmup.samples[-1000:]))
    return _search(probe, _NS_PER_S / service_ns, measure, rule)


def search_rate_of_server(lanes: list[Lane], measure: MeasureRule, rule: StopRule, seed: int) -> RateSearch:
    """Search the highest rate of a served model. What all connections get when none ever waits is what is possible."""

    def probe(rate_per_s: float, further_seed: int, limits: StopRule) -> Queries:
        connect(lanes)
        return run_side_by_side(lanes, measure, limits, seed + further_seed, rate_per_s)

    # One request after the other tells nothing: a server may answer several at once, or gather them. Threads begin and
    # end one after the other, which many queries make small. The first burst may be the first load of the server.
    queries = max(QUERIES_MIN, _BURST_PER_LANE * len(lanes))
    busy = StopRule(queries, 0.0, rule.runs_max, rule.ns_max / _PROBE_SHARE / _NS_PER_S)
    capacity_per_s = max(probe(_ALL_AT_ONCE_PER_S, 0, busy).items_per_s(1) for _ in range(_BURSTS))
    return _search(probe, capacity_per_s, measure, rule)


def _search(probe: Probe, capacity_per_s: float, measure: MeasureRule, rule: StopRule) -> RateSearch:
    search = RateSearch(measure.p99_ns_max or 0.0, capacity_per_s, probe, rule)
    search.run()
    return search
