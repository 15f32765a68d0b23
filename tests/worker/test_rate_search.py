"""The search of the highest rate of a server, on queues whose latencies follow from the arrivals, without waiting."""

from array import array

import pytest

from device_worker.protocol.fields import Fields
from device_worker.protocol.specification import MeasureRule
from device_worker.trial import rate_search
from device_worker.trial.measurement import StopRule, Timing
from device_worker.trial.rate_search import RateSearch, search_rate_of_server
from device_worker.trial.scenarios import P99_SHARE, Queries, percentile, poisson_arrivals

MS = 1000000
SERVICE_NS = MS


class Clock:
    """Stands for the clock: each measurement takes the time of its queries."""

    def __init__(self):
        self.now_ns = 0

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(rate_search, "perf_counter_ns", found)
    return found


def served(clock, service_ns=SERVICE_NS):
    """A server that needs as long for each query, and serves one after the other."""

    def probe(rate_per_s, seed, rule):
        arrivals, free_ns, latencies = poisson_arrivals(rate_per_s, seed), 0, array("Q")
        while len(latencies) < rule.runs_min or free_ns < rule.ns_min:
            at = next(arrivals)
            if at > rule.ns_max:
                break
            free_ns = max(at, free_ns) + service_ns
            latencies.append(free_ns - at)
        clock.now_ns += free_ns
        return Queries("server", latencies, Timing(latencies, 1, 0, free_ns, 0))

    return probe


def searched(clock, bound_ns, runs=3000, seconds=1000.0, service_ns=SERVICE_NS):
    search = RateSearch(bound_ns, 1e9 / service_ns, served(clock, service_ns), StopRule(runs, 1.0, 10**6, seconds))
    search.run()
    return search


def p99_at(rate_per_s):
    return percentile(served(Clock())(rate_per_s, 99, StopRule(200000, 0.0, 10**6, 1e6)).latencies, P99_SHARE)


def test_the_rate_that_was_found_holds_and_a_little_more_does_not(clock):
    found = searched(clock, 5 * MS)
    assert found.reason is None
    assert percentile(found.queries.latencies, P99_SHARE) <= 5 * MS
    # Of very many queries: 3,000 find the rate within a tenth.
    assert p99_at(found.rate_per_s * 0.9) <= 5 * MS
    assert p99_at(found.rate_per_s * 1.1) > 5 * MS
    assert found.probes <= 16


def test_a_rate_that_cannot_be_served_for_ever_is_never_tried(clock):
    found = searched(clock, 10000 * MS, runs=300)
    assert found.reason is None
    assert 950 < found.rate_per_s < 1000


def test_a_bound_below_the_model_s_own_time_has_no_rate(clock):
    found = searched(clock, MS // 2)
    assert found.reason.startswith("no rate holds 0.5 ms: the p99 at ")
    assert len(found.queries.latencies) >= rate_search.QUERIES_MIN


def test_a_search_without_the_time_for_it_has_no_figure(clock):
    found = searched(clock, 5 * MS, seconds=0.4)
    assert found.reason.startswith("seconds_max ended the search before any rate held")
    later = searched(clock, 5 * MS, seconds=4.5)
    assert later.reason is not None
    assert later.reason.startswith("seconds_max ended the search at ")


def test_a_measurement_that_ran_out_of_time_before_its_first_query_is_not_the_last(clock):
    served_here, sent = served(clock), []

    def probe(rate_per_s, seed, rule):
        if len(sent) == 2:
            clock.now_ns += rule.ns_max
            return Queries("server", array("Q"), Timing(array("Q"), 1, 0, 0, 0))
        sent.append(rate_per_s)
        return served_here(rate_per_s, seed, rule)

    search = RateSearch(5 * MS, 1000.0, probe, StopRule(3000, 1.0, 10**6, 1000.0))
    search.run()
    assert search.reason.startswith("seconds_max ended the search")
    assert (search.rate_per_s, len(search.queries.latencies)) == (sent[1], 1200)


def test_what_is_told_was_confirmed_with_arrivals_of_its_own(clock):
    seeds = []
    served_here = served(clock)

    def probe(rate_per_s, seed, rule):
        seeds.append((seed, rule.runs_min))
        return served_here(rate_per_s, seed, rule)

    search = RateSearch(5 * MS, 1000.0, probe, StopRule(3000, 1.0, 10**6, 1000.0))
    search.run()
    assert seeds[0] == (0, 1200)
    assert seeds[-1] == (1, 3000)
    assert search.probes == len(seeds)


def served_by(clock, service_ns, rates):
    """A server that answers as many queries at once as there are connections. `rates` keeps what was tried."""

    def run(lanes, measure, rule, seed, rate_per_s):
        rates.append(rate_per_s)
        arrivals, free_ns = poisson_arrivals(rate_per_s, seed), [0] * len(lanes)
        latencies, samples = array("Q"), array("Q")
        while len(latencies) < rule.runs_min or max(free_ns) < rule.ns_min:
            at = next(arrivals)
            if at > rule.ns_max:
                break
            first = free_ns.index(min(free_ns))
            free_ns[first] = max(at, free_ns[first]) + service_ns
            latencies.append(free_ns[first] - at)
            samples.append(service_ns)
        clock.now_ns += max(free_ns)
        return Queries("server", latencies, Timing(samples, 1, 0, max(free_ns), 0))

    return run


def searched_by_server():
    document = {"warmup_runs_min": 0, "warmup_seconds_min": 0.0, "runs_min": 3000, "seconds_min": 1.0}
    document.update(seconds_max=1000.0, runs_max=10**6, scenario="server", p99_ns_max=2 * MS)
    measure = MeasureRule(Fields(document, "measure"))
    return search_rate_of_server([lambda: None] * 8, measure, StopRule.of_measurement(measure), seed=3)


def test_a_server_of_many_connections_is_searched_up_to_what_all_of_them_get(clock, monkeypatch):
    rates = []
    monkeypatch.setattr(rate_search, "run_side_by_side", served_by(clock, MS, rates))
    search = searched_by_server()
    assert search.reason is None
    assert percentile(search.queries.latencies, P99_SHARE) <= 2 * MS
    # One connection alone gets 1,000 a second, all eight get 8,000.
    assert 5000 < search.rate_per_s < 8000
    assert max(rates[3:]) < 8000


def test_a_server_that_is_slow_at_first_is_searched_up_to_what_it_gets_warm(clock, monkeypatch):
    rates, asked = [], []
    cold, warm = served_by(clock, 10 * MS, rates), served_by(clock, MS, rates)

    def run(lanes, measure, rule, seed, rate_per_s):
        asked.append(rule.runs_min)
        return (cold if len(asked) == 1 else warm)(lanes, measure, rule, seed, rate_per_s)

    monkeypatch.setattr(rate_search, "run_side_by_side", run)
    search = searched_by_server()
    assert search.reason is None
    assert 5000 < search.rate_per_s < 8000
    assert asked[:3] == [50 * 8] * 3
