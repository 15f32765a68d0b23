"""Devices whose power the controller reads: idle times are kept, windows are long enough, nothing is read."""

import pytest

from device_worker.sensing.power.account import Measured, blank_account
from device_worker.sensing.power.external import NOT_JOINED
from device_worker.sensing.power.opening import open_meter
from test_power_window import TIMEOUT_S, rule


class Wakeups:
    def __init__(self):
        self.is_stopping = False
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)


def idle_waits(wakeups):
    return [seconds for seconds in wakeups.waits if seconds > 0.1]


def test_the_device_reads_nothing_and_keeps_idle_times_for_the_meter():
    wakeups, meter = Wakeups(), open_meter(5.0, meter_period_s=1.0)
    assert meter.new_sampler() is None
    assert meter.measure_idle(wakeups) is False
    assert meter.measure_idle(wakeups) is False
    metrics, account = meter.judge(None, Measured({"begin_mono_ns": 1, "end_mono_ns": 2}, 4), wakeups)
    assert idle_waits(wakeups) == [22.0, 22.0], "once before the first trial, and after each"
    assert (metrics, account["reason"], account["source"]) == ([], NOT_JOINED, None)
    before, after = account["idle_windows"]["before"], account["idle_windows"]["after"]
    assert before[0] <= before[1] <= after[0] <= after[1]
    assert set(account) == set(blank_account(None))
    second = meter.judge(None, Measured(None, 4), wakeups)[1]
    assert second["idle_windows"]["before"] == after


def test_windows_are_long_enough_for_the_meter():
    meter = open_meter(5.0, meter_period_s=0.5)
    assert meter.lengthen(rule(seconds_max=40.0), TIMEOUT_S).seconds_min == pytest.approx(31.0)


def test_a_meter_that_is_too_slow_for_the_sweep_says_what_it_would_take():
    meter = open_meter(5.0, meter_period_s=1.0)
    measure = rule()
    assert meter.lengthen(measure, TIMEOUT_S) is measure
    assert meter.explain_absence()["reason"].endswith("a window takes 22 s, and seconds_max allows 20 s")


def test_a_run_that_is_stopped_waits_no_more():
    wakeups, meter = Wakeups(), open_meter(5.0, meter_period_s=0.1)
    wakeups.is_stopping = True
    account = meter.judge(None, Measured(None, 4), wakeups)[1]
    assert (account["idle_windows"], wakeups.waits) == ({"before": None, "after": None}, [])


def test_without_idle_time_none_is_kept():
    wakeups, meter = Wakeups(), open_meter(0.0, meter_period_s=0.1)
    meter.measure_idle(wakeups)
    meter.judge(None, Measured(None, 4), wakeups)
    assert wakeups.waits == []
