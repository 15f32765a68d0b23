"""Send the queries of a scenario side by side, over as many connections: what a served model is for.

The latency of a query begins with its scheduled arrival, whether a connection was free or not.
"""

from __future__ import annotations

import resource
import threading
from array import array
from time import monotonic_ns, perf_counter_ns, sleep

from device_worker.trial.measurement import Timing
from device_worker.trial.scenarios import MULTI_STREAM, SERVER, Queries, poisson_arrivals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, Mapping

    from device_worker.protocol.specification import MeasureRule
    from device_worker.trial.measurement import StopRule

    Lane = Callable[[], object]

CONNECTIONS = 16
"""The connections of the scenario `server`, where the cell does not say."""
_NS_PER_S = 1000000000


def lanes_of(measure: MeasureRule, settings: Mapping[str, Any]) -> int:
    """Return how many inferences run side by side: the streams of a query, or the connections of a server's clients."""
    if measure.scenario == MULTI_STREAM:
        return measure.streams
    return int(settings.get("connections", CONNECTIONS)) if measure.scenario == SERVER else 0


def connect(lanes: list[Lane]) -> None:
    """Send a query on each lane, one after the other: no application opens a connection for each request."""
    for lane in lanes:
        lane()


def run_side_by_side(
    lanes: list[Lane], measure: MeasureRule, rule: StopRule, seed: int, rate_per_s: float | None = None
) -> Queries:
    """Send queries until the rule has enough of them. Raise what a lane raises: an error is no answer.

    The lanes should be connected, or the first queries wait for it.
    `rate_per_s` is for a server, in place of the rate that the measure names.
    """
    switches_before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    begin_mono_ns, begin = monotonic_ns(), perf_counter_ns()
    if measure.scenario == SERVER:
        work = _Arrivals(poisson_arrivals(rate_per_s or measure.rate_per_s, seed), begin, rule)
        _in_threads([_Client(lane, work) for lane in lanes])
        latencies, samples = work.latencies, work.samples
    else:
        latencies, samples = _run_streams(lanes, begin, rule)
    end_mono_ns = monotonic_ns()
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches_before
    timing = Timing(samples, 1, begin_mono_ns, end_mono_ns, switches)
    return Queries(measure.scenario or SERVER, latencies, timing)


class _Arrivals:
    """The arrivals of queries, handed to whichever client is free, and what became of them."""

    def __init__(self, times: Iterator[int], begin: int, rule: StopRule) -> None:
        self.latencies, self.samples = array("Q"), array("Q")
        self._times = times
        self._begin = begin
        self._rule = rule
        self._taken = 0
        self._is_over = False
        self._lock = threading.Lock()

    def take(self) -> int | None:
        """Return when the next query arrives, or None once there were enough."""
        with self._lock:
            rule, passed = self._rule, perf_counter_ns() - self._begin
            is_enough = self._taken >= rule.runs_min and passed >= rule.ns_min
            if self._is_over or is_enough or self._taken >= rule.runs_max or passed >= rule.ns_max:
                return None
            self._taken += 1
            return self._begin + next(self._times)

    def answered(self, due: int, before: int, after: int) -> None:
        """Keep the times of an answered query."""
        with self._lock:
            self.latencies.append(max(0, after - due))
            self.samples.append(after - before)

    def give_up(self) -> None:
        """End all clients after their present query."""
        self._is_over = True


class _Client(threading.Thread):
    """A thread that sends queries over one connection. `error` is what ended it, or None."""

    def __init__(self, lane: Lane, work: _Arrivals) -> None:
        super().__init__(daemon=True)
        self._lane = lane
        self._work = work
        self.error: BaseException | None = None

    def run(self) -> None:
        """Send queries until there were enough."""
        try:
            due = self._work.take()
            while due is not None:
                # Asleep to the end: many threads that wait awake would take the server's processor.
                sleep(max(0, due - perf_counter_ns()) / _NS_PER_S)
                before = perf_counter_ns()
                self._lane()
                self._work.answered(due, before, perf_counter_ns())
                due = self._work.take()
        except BaseException as error:  # noqa: BLE001 raised again where the trial waits
            self.error = error
            self._work.give_up()


def _in_threads(clients: list[_Client]) -> None:
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    for client in clients:
        if client.error is not None:
            raise client.error


def _run_streams(lanes: list[Lane], begin: int, rule: StopRule) -> tuple[Any, Any]:
    """Send queries of one inference on each lane, the next one after the last answer. Return latencies and samples."""
    from concurrent.futures import ThreadPoolExecutor  # few trials need it

    latencies, samples = array("Q"), array("Q")
    with ThreadPoolExecutor(len(lanes)) as pool:
        while True:
            scheduled = perf_counter_ns()
            samples.extend(pool.map(_timed, lanes))
            after = perf_counter_ns()
            latencies.append(after - scheduled)
            count, passed = len(latencies), after - begin
            if count >= rule.runs_max or passed >= rule.ns_max:
                return latencies, samples
            if count >= rule.runs_min and passed >= rule.ns_min:
                return latencies, samples


def _timed(lane: Lane) -> int:
    before = perf_counter_ns()
    lane()
    return perf_counter_ns() - before
