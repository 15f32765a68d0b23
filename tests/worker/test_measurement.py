"""The timing loop: when it stops, what it counts, and how close it comes to a bare loop."""

import time
from array import array

import pytest

from device_worker.protocol.fields import Fields
from device_worker.protocol.specification import MeasureRule
from device_worker.trial.measurement import StopRule, choose_batch, median, time_calls

MEASURE = {
    "warmup_runs_min": 5,
    "warmup_seconds_min": 0.0,
    "runs_min": 50,
    "seconds_min": 0.0,
    "seconds_max": 1.0,
    "runs_max": 1000,
}


def measure(**changes):
    """Return a plan's measuring rule."""
    return MeasureRule(Fields(dict(MEASURE, **changes), "measure"))


READING_NS = 25
"""What a reading of the stepped clock takes: about that of CLOCK_MONOTONIC by the vDSO."""


class Clock:
    """A clock that only readings and calls move: what the rules decide by it is the same on any machine."""

    def __init__(self):
        self.now_ns = 1000000

    def __call__(self):
        self.now_ns += READING_NS
        return self.now_ns


class Call:
    """Counts its calls, and takes its time by a stepped clock."""

    def __init__(self, clock, seconds=0.0):
        self.count = 0
        self._clock = clock
        self._ns = int(seconds * 1e9)

    def __call__(self):
        self.count += 1
        self._clock.now_ns += self._ns


class RealCall:
    """Takes its time by the real clock."""

    def __init__(self, seconds):
        self._ns = int(seconds * 1e9)

    def __call__(self):
        end = time.perf_counter_ns() + self._ns
        while time.perf_counter_ns() < end:
            pass


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("device_worker.trial.measurement.perf_counter_ns", made)
    return made


def rule(**changes):
    return StopRule.of_measurement(measure(**changes))


def test_enough_runs_and_enough_time_end_the_measurement(clock):
    call = Call(clock)
    assert len(time_calls(call, rule()).samples) == call.count == 50
    timing = time_calls(Call(clock, 0.0005), rule(seconds_min=0.05))
    assert 0.05 <= (timing.end_ns - timing.begin_ns) / 1e9 < 0.0506
    assert len(timing.samples) == 100


def test_too_much_time_ends_it_with_fewer_runs(clock):
    timing = time_calls(Call(clock, 0.01), rule(seconds_max=0.05))
    assert len(timing.samples) == 5


def test_a_single_call_longer_than_the_limit_is_one_run(clock):
    assert len(time_calls(Call(clock, 0.03), rule(seconds_max=0.01)).samples) == 1


def test_the_most_runs_end_it_however_little_time_has_passed(clock):
    assert len(time_calls(Call(clock), rule(seconds_min=0.5, runs_max=200)).samples) == 200


def test_more_samples_than_a_chunk_are_all_kept():
    timing = time_calls(RealCall(0.0), rule(runs_min=70000, runs_max=70000))
    assert len(timing.samples) == 70000
    assert min(timing.samples) > 0


def test_a_warm_up_ends_by_its_own_rule(clock):
    assert len(time_calls(Call(clock), StopRule.of_warmup(measure())).samples) == 5
    timing = time_calls(Call(clock, 0.0005), StopRule.of_warmup(measure(warmup_seconds_min=0.02)))
    assert 0.02 <= (timing.end_ns - timing.begin_ns) / 1e9 < 0.0206
    assert len(time_calls(Call(clock, 0.02), StopRule.of_warmup(measure(seconds_max=0.03))).samples) == 2


@pytest.mark.parametrize("seconds", [10e-9, 50e-9, 0.5e-6, 3e-6])
def test_short_calls_are_timed_in_batches_of_about_twenty_microseconds(clock, seconds):
    call = Call(clock, seconds)
    batch = choose_batch(call, time_calls(call, rule()))
    assert batch >= 2
    call.count = 0
    timing = time_calls(call, rule(), batch)
    assert call.count == batch * len(timing.samples)
    assert 20000 <= median(timing.samples) * batch <= 24000
    assert median(timing.samples) - seconds * 1e9 <= READING_NS / batch + 1, "the clock's own time is spread"


def test_calls_of_five_microseconds_and_more_are_timed_singly(clock):
    call = Call(clock, 5e-6)
    assert choose_batch(call, time_calls(call, rule())) == 1


def test_a_call_that_takes_no_time_at_all_ends_the_search_for_a_batch(clock):
    timing = time_calls(Call(clock), rule())
    timing.samples = array("Q", [0] * 9)
    assert choose_batch(Call(clock), timing) == 65536


@pytest.mark.parametrize(("values", "expected"), [([], 0), ([3], 3), ([4, 1], 2.5), ([9, 1, 5], 5)])
def test_median(values, expected):
    assert median(array("Q", values)) == expected


def test_the_steady_ratio_compares_the_thirds(clock):
    timing = time_calls(Call(clock), rule())
    timing.samples = array("Q", [100] * 10 + [999] * 10 + [150] * 10)
    assert timing.steady_ratio == 1.5
    timing.samples = array("Q", [1, 2])
    assert timing.steady_ratio is None


def test_the_loop_adds_next_to_nothing_to_a_bare_one():
    """Medians of alternating blocks, the best of several: a busy machine disturbs both, but never helps one."""
    call = RealCall(20e-6)
    own, bare = [], []
    for _ in range(60):  # until both had a quiet moment
        own.append(median(time_calls(call, rule(runs_min=300, runs_max=300)).samples))
        samples = []
        for _ in range(300):
            before = time.perf_counter_ns()
            call()
            after = time.perf_counter_ns()
            samples.append(after - before)
        bare.append(median(array("Q", samples)))
        if abs(min(own) - min(bare)) <= max(300, 0.01 * min(bare)):
            return
    raise AssertionError("the loop takes %d ns, a bare one %d" % (min(own), min(bare)))


def test_what_prepares_a_call_is_called_before_each_and_is_no_part_of_its_time():
    order = []
    slow_ns = 2000000

    def prepare():
        order.append("prepare")
        begin = time.perf_counter_ns()
        while time.perf_counter_ns() - begin < slow_ns:
            pass

    timing = time_calls(lambda: order.append("call"), StopRule(5, 0.0, 5, 10.0), prepare=prepare)
    assert order == ["prepare", "call"] * 5
    assert min(timing.samples) < slow_ns / 10
    assert timing.end_ns - timing.begin_ns > 5 * slow_ns
