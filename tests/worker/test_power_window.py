"""How long a window a source needs, and what becomes of a plan's measuring rule for it."""

import pytest

from device_worker.protocol.fields import Fields
from device_worker.protocol.specification import MeasureRule
from device_worker.sensing.power.base import PowerSource
from device_worker.sensing.power.meter import Meter
from device_worker.sensing.power.opening import AbsentMeter
from device_worker.sensing.power.window import explain_early_end, explain_shortness, lengthen, window_s_min
from worker_plans import MEASURE

TIMEOUT_S = 120.0


def source_of(period_s, is_mean=False):
    class Source(PowerSource):
        name = "replayed"
        kind = "power-gauge"

        def read(self):
            return 5000000

    source = Source()
    source.period_s, source.is_mean = period_s, is_mean
    return source


def rule(seconds_min=1.0, seconds_max=20.0):
    return MeasureRule(Fields(dict(MEASURE, seconds_min=seconds_min, seconds_max=seconds_max), "measure"))


@pytest.mark.parametrize(
    ("period_s", "is_mean", "seconds_min", "expected"),
    [
        (0.016, False, 1.0, 1.0),
        (0.04, False, 0.3, 2.48),
        (0.5, False, 1.0, 20.0),
        (0.5, True, 1.0, 20.0),
        (0.5, True, 25.0, 25.0),
        (0.25, True, 1.0, 15.5),
        (1.0, False, 1.0, 1.0),
    ],
    ids=["fast", "short trials", "2 Hz", "2 Hz means", "long trials", "4 Hz means", "too slow"],
)
def test_the_window_is_lengthened_within_the_sweeps_maximum(period_s, is_mean, seconds_min, expected):
    measure = rule(seconds_min)
    found = lengthen(measure, source_of(period_s, is_mean), TIMEOUT_S)
    assert found.seconds_min == pytest.approx(expected)
    assert found.document == dict(measure.document, seconds_min=found.seconds_min)
    assert measure.document == rule(seconds_min).document, "the plan's own rule is not written to"


def test_a_longer_window_never_costs_a_trial_its_timeout():
    found = lengthen(rule(seconds_max=60.0), source_of(0.5, is_mean=True), 30.0)
    assert found.seconds_min == 15.0


@pytest.mark.parametrize(
    ("seconds_max", "timeout_s", "words"),
    [
        (10.9, TIMEOUT_S, "takes 11 s, and seconds_max allows 10.9 s"),
        (60.0, 20.0, "takes 11 s, and half of the trial's timeout allows 10 s"),
        (11.0, TIMEOUT_S, None),
    ],
)
def test_a_source_that_no_trial_is_long_enough_for_says_why(seconds_max, timeout_s, words):
    measure, source = rule(seconds_max=seconds_max), source_of(0.5)
    reason = explain_shortness(measure, source, timeout_s)
    assert (reason is None) == (words is None)
    assert (reason or "").endswith(words or "")
    assert (lengthen(measure, source, timeout_s) is measure) == (words is not None)


@pytest.mark.parametrize(
    ("runs", "window_s", "reason"),
    [
        (1000, 2.5, "the window ended at runs_max 1000 after 2.5 s, of 20 s wanted"),
        (999, 2.5, None),
        (1000, 20.0, None),
    ],
    ids=["at runs_max", "by its own rule", "long enough"],
)
def test_a_window_that_ended_at_runs_max_is_told_from_others(runs, window_s, reason):
    measure = lengthen(rule(), source_of(0.5), TIMEOUT_S)
    assert explain_early_end(measure, runs, window_s) == reason


def test_a_meter_without_a_source_leaves_the_rule_alone():
    measure = rule()
    assert AbsentMeter("none there").lengthen(measure, TIMEOUT_S) is measure


def test_idle_power_is_watched_for_as_long_as_the_source_needs():
    class Wakeups:
        def __init__(self):
            self.is_stopping = False
            self.waits = []

        def wait(self, seconds):
            self.waits.append(seconds)

    wakeups = Wakeups()
    Meter(source_of(0.5), 5.0).measure_idle(wakeups)
    Meter(source_of(0.04), 5.0).measure_idle(wakeups)
    Meter(source_of(0.5), 0.0).measure_idle(wakeups)
    assert wakeups.waits == [window_s_min(source_of(0.5)), 5.0] == [11.0, 5.0]
