"""The thread that reads a source: its life, its cost, and sources that go wrong under it."""

import threading

import pytest

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power import sampler as sampler_module
from device_worker.sensing.power.account import Measured
from device_worker.sensing.power.base import Implausible, Lost, PowerSource
from device_worker.sensing.power.meter import Meter
from device_worker.sensing.power.opening import AbsentMeter
from device_worker.sensing.power.sampler import Sampler
from device_worker.system.patient_reader import PatientReader
from worker_client import wait_until

WATTS_UW = 5000000


class ScriptedGauge(PowerSource):
    """A gauge that says what it is told, and counts how often it was asked."""

    kind = SourceKind.POWER_GAUGE
    name = "scripted"
    period_s = 0.001

    def __init__(self):
        self.value = WATTS_UW
        self.asked = 0
        self.answers = threading.Event()
        self.answers.set()

    def read(self):
        self.asked += 1
        self.answers.wait()
        return self.value


class Wakeups:
    """Waits until the gauge has been read often enough, instead of for a time. Nobody reads while a device settles."""

    def __init__(self, gauge, readings=30):
        self.is_stopping = False
        self.waits = []
        self._gauge = gauge
        self._readings = readings

    def wait(self, seconds):
        if seconds < 0.5:
            return
        self.waits.append(seconds)
        goal = self._gauge.asked + self._readings
        wait_until(lambda: self._gauge.asked >= goal)


@pytest.fixture
def gauge():
    return ScriptedGauge()


def window_of(sampler):
    stamps = sampler.trace.stamps_ns
    return {"begin_mono_ns": stamps[0] + 1, "end_mono_ns": stamps[-1] - 1}


def recorded(meter, gauge, readings=40):
    sampler = meter.new_sampler()
    goal = gauge.asked + readings
    sampler.begin()
    wait_until(lambda: gauge.asked >= goal)
    sampler.end()
    return sampler


def judged(meter, gauge, sampler, inferences=4, idle_uw=WATTS_UW, window=window_of):
    """Judge a recording, after which the device is idle again."""
    gauge.value = idle_uw
    window = window(sampler) if callable(window) else window
    return meter.judge(sampler, Measured(window, inferences), Wakeups(gauge))


def sampling_threads():
    """Count our own threads alone: other tests of this process may have left theirs."""
    return sum(thread.name == "benchfleet-power" for thread in threading.enumerate())


def test_a_recording_begins_with_a_reading_and_ends_with_one_and_leaves_no_thread(gauge):
    threads = sampling_threads()
    sampler = Sampler(gauge, PatientReader())
    assert (gauge.asked, sampling_threads()) == (1, threads)
    sampler.begin()
    wait_until(lambda: gauge.asked >= 5)
    sampler.end()
    assert sampling_threads() == threads
    assert len(sampler.trace) == gauge.asked
    assert list(sampler.trace.stamps_ns) == sorted(set(sampler.trace.stamps_ns))
    assert sampler.overhead_cpu_ns > 0


def test_a_process_that_never_started_ends_a_recording_that_never_began(gauge):
    sampler = Sampler(gauge, PatientReader())
    sampler.end()
    assert gauge.asked == 1


@pytest.mark.parametrize("value", [None, 1 << 63], ids=["gone", "beyond all numbers"])
def test_a_source_that_fails_in_the_midst_ends_the_thread_and_the_figures(gauge, value):
    meter = Meter(gauge, 5.0)
    sampler = meter.new_sampler()
    sampler.begin()
    wait_until(lambda: gauge.asked >= 30)
    gauge.value = value
    wait_until(lambda: sampler.trace.lost)
    asked = gauge.asked
    sampler.end()
    assert gauge.asked == asked
    metrics, account = meter.judge(sampler, Measured(window_of(sampler), 100), Wakeups(gauge))
    assert metrics == []
    assert account["reason"] == "scripted could not be read any more"


def test_a_source_that_says_why_it_is_lost_is_believed(gauge):
    meter = Meter(gauge, 5.0)
    sampler = recorded(meter, gauge)

    def jump():
        raise Lost("the counter jumped back")

    gauge.read = jump
    second = meter.new_sampler()
    assert second.trace.lost == "scripted: the counter jumped back"
    metrics, account = meter.judge(second, Measured(window_of(sampler), 4), Wakeups(gauge))
    assert (metrics, account["reason"]) == ([], "scripted: the counter jumped back")


def test_a_source_that_is_gone_at_the_beginning_gets_no_thread(gauge):
    gauge.value = None
    threads = sampling_threads()
    sampler = Sampler(gauge, PatientReader())
    sampler.begin()
    assert sampling_threads() == threads
    sampler.end()
    assert gauge.asked == 1


def test_a_source_that_hangs_is_left_behind_for_good(gauge, monkeypatch):
    monkeypatch.setattr(sampler_module, "_END_S_MAX", 0.05)
    meter = Meter(gauge, 5.0)
    sampler = meter.new_sampler()
    gauge.answers.clear()
    sampler.begin()
    wait_until(lambda: gauge.asked == 2)
    sampler.end()
    metrics, account = meter.judge(sampler, Measured({"begin_mono_ns": 1, "end_mono_ns": 2}, 1), Wakeups(gauge))
    assert (metrics, account["reason"]) == ([], "scripted: did not answer within 0.05 s")
    assert meter.new_sampler() is None
    absence = meter.explain_absence()
    assert (absence["source"], absence["samples"], absence["reason"]) == ("scripted", 0, account["reason"])
    gauge.answers.set()
    wait_until(lambda: sampling_threads() == 0)


def test_a_device_that_can_start_no_thread_gets_no_figures(gauge, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    meter = Meter(gauge, 5.0)
    sampler = meter.new_sampler()
    sampler.begin()
    sampler.end()
    assert meter.judge(sampler, Measured(None, 1), Wakeups(gauge))[1]["reason"].endswith("can't start new thread")


def test_idle_power_is_measured_once(gauge):
    meter, wakeups = Meter(gauge, idle_s=3.0), Wakeups(gauge)
    assert meter.measure_idle(wakeups) is False
    assert meter.idle.mean_w == pytest.approx(5.0)
    assert meter.measure_idle(wakeups) is False
    assert wakeups.waits == [3.0]


def test_the_wait_for_idle_power_is_bounded(gauge):
    wakeups = Wakeups(gauge)
    Meter(gauge, idle_s=1e9).measure_idle(wakeups)
    assert wakeups.waits == [60.0]


def test_idle_power_of_too_few_readings_is_unknown(gauge):
    meter = Meter(gauge, 5.0)
    meter.measure_idle(Wakeups(gauge, readings=5))
    assert meter.idle is None
    sampler = recorded(meter, gauge)
    account = meter.judge(sampler, Measured(window_of(sampler), 4), Wakeups(gauge, readings=5))[1]
    assert account["energy_reason"].startswith("idle power is unknown: ")


def test_nothing_is_waited_for_without_a_source():
    wakeups = Wakeups(None)
    meter = AbsentMeter("none there")
    assert meter.measure_idle(wakeups) is False
    assert (meter.new_sampler(), wakeups.waits) == (None, [])


def test_an_account_without_a_source_has_the_keys_of_one_with_a_source_and_the_reason(gauge):
    absent = AbsentMeter("none there").explain_absence()
    assert list(absent) == list(Meter(gauge, 5.0).explain_absence())
    assert {key: value for key, value in absent.items() if value} == {"reason": "none there"}
    assert AbsentMeter("none there").judge(None, Measured(None, 1), Wakeups(gauge)) == ([], absent)


def test_a_runner_that_is_told_to_stop_meanwhile_hears_of_it(gauge):
    wakeups = Wakeups(gauge)
    wakeups.is_stopping = True
    assert Meter(gauge, 5.0).measure_idle(wakeups) is True


def test_figures_are_per_inference_and_above_idle(gauge):
    meter = Meter(gauge, 5.0)
    meter.measure_idle(Wakeups(gauge))
    gauge.value = 3 * WATTS_UW
    sampler = recorded(meter, gauge)
    window = window_of(sampler)
    duration_ms = (window["end_mono_ns"] - window["begin_mono_ns"]) / 1e6
    metrics, account = judged(meter, gauge, sampler)
    found = {metric["name"]: metric["value"] for metric in metrics}
    uncertainties = [found.pop(name) for name in ("energy_u95_mj", "energy_gross_u95_mj")]
    assert found == {
        "power_mean_w": pytest.approx(15.0),
        "power_max_w": pytest.approx(15.0),
        "power_idle_w": pytest.approx(5.0),
        "energy_gross_mj": pytest.approx(15.0 * duration_ms / 4),
        "energy_mj": pytest.approx(10.0 * duration_ms / 4),
    }
    assert all(0 <= one < 0.001 * found["energy_mj"] for one in uncertainties), "a perfect instrument"
    assert (account["source"], account["idle_w"], account["reason"]) == ("scripted", pytest.approx(5.0), None)
    assert (account["idle_before_w"], account["idle_after_w"]) == (pytest.approx(5.0), pytest.approx(5.0))
    assert account["samples"] == len(sampler.trace)
    assert account["rate_hz"] == sampler.trace.rate_hz


def test_idle_power_is_that_before_and_after_and_the_drift_makes_it_uncertain(gauge):
    meter = Meter(gauge, 5.0)
    meter.measure_idle(Wakeups(gauge))
    gauge.value = 3 * WATTS_UW
    sampler = recorded(meter, gauge)
    account = judged(meter, gauge, sampler, idle_uw=WATTS_UW + 600000)[1]
    assert (account["idle_before_w"], account["idle_after_w"]) == (pytest.approx(5.0), pytest.approx(5.6))
    assert account["idle_w"] == pytest.approx(5.3)
    assert account["idle_u95_w"] == pytest.approx(2 * 0.3 / 3**0.5)
    assert meter.idle.mean_w == pytest.approx(5.6), "the next trial begins with this one"


def test_what_a_window_holds_besides_is_subtracted(gauge):
    meter = Meter(gauge, idle_s=0.0)
    sampler = recorded(meter, gauge)
    window = window_of(sampler)
    invoked_ns = (window["end_mono_ns"] - window["begin_mono_ns"]) * 95 // 100
    metrics, account = meter.judge(sampler, Measured(window, 4, 4, invoked_ns), Wakeups(gauge))
    found = {metric["name"]: metric["value"] for metric in metrics}
    assert account["invoked_ratio"] == pytest.approx(0.95)
    assert found["energy_gross_mj"] == pytest.approx(5.0 * invoked_ns / 1e6 / 4)


def test_a_window_that_holds_much_besides_keeps_all_and_says_so(gauge):
    meter = Meter(gauge, idle_s=0.0)
    sampler = recorded(meter, gauge, readings=80)
    window = window_of(sampler)
    duration_ns = window["end_mono_ns"] - window["begin_mono_ns"]
    metrics, account = meter.judge(sampler, Measured(window, 4, 4, duration_ns // 2), Wakeups(gauge))
    found = {metric["name"]: metric["value"] for metric in metrics}
    assert found["energy_gross_mj"] == pytest.approx(5.0 * duration_ns / 1e6 / 4)
    assert account["caution"].startswith("the window holds more than inferences")


@pytest.mark.parametrize("watts_uw", [WATTS_UW // 2, WATTS_UW + 1], ids=["below idle power", "about idle power"])
def test_energy_at_or_below_zero_is_kept(gauge, watts_uw):
    meter = Meter(gauge, 5.0)
    meter.measure_idle(Wakeups(gauge))
    gauge.value = watts_uw
    sampler = recorded(meter, gauge)
    window = window_of(sampler)
    duration_ms = (window["end_mono_ns"] - window["begin_mono_ns"]) / 1e6
    metrics, account = judged(meter, gauge, sampler)
    found = {metric["name"]: metric["value"] for metric in metrics}
    assert found["energy_mj"] == pytest.approx((watts_uw / 1e6 - 5.0) * duration_ms / 4, abs=1e-9)
    assert found["energy_u95_mj"] >= 0
    assert (account["reason"], account["energy_reason"]) == (None, None)


def test_a_run_that_is_stopped_meanwhile_has_idle_power_of_one_side(gauge):
    meter = Meter(gauge, 5.0)
    meter.measure_idle(Wakeups(gauge))
    gauge.value = 3 * WATTS_UW
    sampler = recorded(meter, gauge)
    wakeups = Wakeups(gauge)
    wakeups.is_stopping = True
    account = meter.judge(sampler, Measured(window_of(sampler), 4), wakeups)[1]
    assert (account["idle_w"], account["idle_after_w"], wakeups.waits) == (pytest.approx(5.0), None, [])
    assert account["caution"].endswith("idle power is known from before the trial alone")


def test_without_idle_power_and_inferences_only_mean_power_is_known(gauge):
    meter = Meter(gauge, idle_s=0.0)
    meter.measure_idle(Wakeups(gauge))
    sampler = recorded(meter, gauge)
    metrics, account = judged(meter, gauge, sampler, inferences=0)
    assert [metric["name"] for metric in metrics] == ["power_mean_w", "power_max_w"]
    assert account["energy_reason"] == "no latency_ns sample says how many inferences the window held"
    metrics, account = judged(meter, gauge, sampler)
    assert {metric["name"] for metric in metrics} == {
        "power_mean_w", "power_max_w", "energy_gross_mj", "energy_gross_u95_mj",
    }  # fmt: skip
    assert account["energy_reason"] == "idle power was not measured"


@pytest.mark.parametrize(
    "window",
    [
        None,
        {},
        {"begin_mono_ns": 1},
        {"begin_mono_ns": 1.5, "end_mono_ns": 2.5},
        {"begin_mono_ns": "1", "end_mono_ns": 2},
    ],
)
def test_a_window_that_is_none_gets_no_figures(gauge, window):
    meter = Meter(gauge, 5.0)
    sampler = recorded(meter, gauge)
    metrics, account = judged(meter, gauge, sampler, window=window)
    assert (metrics, account["reason"]) == ([], "the trial reported no window")


class Offset(ScriptedGauge):
    """A gauge whose offset shows as a negative reading, once in so many."""

    def __init__(self, every):
        super().__init__()
        self._every = every

    def read(self):
        value = super().read() + self.asked % 7  # no real sensor stands still
        if self.asked % self._every == 0:
            raise Implausible("curr1_input is negative")
        return value


def test_a_negative_reading_now_and_then_costs_itself_alone():
    gauge = Offset(every=40)
    meter = Meter(gauge, idle_s=0.0)
    sampler = recorded(meter, gauge, readings=130)
    metrics, account = meter.judge(sampler, Measured(window_of(sampler), 4), Wakeups(gauge))
    found = {metric["name"]: metric["value"] for metric in metrics}
    assert found["power_mean_w"] == pytest.approx(5.0, rel=1e-5)
    assert account["reason"] is None
    assert account["caution"] == "1 to 10% of the readings were left out: curr1_input is negative"
    assert sum(sampler.trace.discarded.values()) == gauge.asked - len(sampler.trace)


def test_a_sensor_that_is_often_negative_gives_no_figure():
    gauge = Offset(every=3)
    meter = Meter(gauge, idle_s=0.0)
    sampler = recorded(meter, gauge, readings=130)
    metrics, account = meter.judge(sampler, Measured(window_of(sampler), 4), Wakeups(gauge))
    assert metrics == []
    assert account["reason"] == "more than 10% of the readings are nonsense: curr1_input is negative"


def test_a_nonsense_at_the_border_of_a_trial_does_not_cut_the_recording():
    gauge = Offset(every=2)
    sampler = Meter(gauge, idle_s=0.0).new_sampler()
    gauge.asked = 1
    assert len(sampler.trace) == 1
    sampler.end()
    other = Meter(Offset(every=1), idle_s=0.0).new_sampler()
    assert (len(other.trace), other.trace.lost) == (0, None)


def test_a_sensor_that_stands_still_idle_and_busy_gives_no_figure(gauge):
    meter = Meter(gauge, 5.0)
    meter.measure_idle(Wakeups(gauge))
    sampler = recorded(meter, gauge)
    metrics, account = meter.judge(sampler, Measured(window_of(sampler), 4), Wakeups(gauge))
    assert metrics == []
    assert account["reason"] == (
        "scripted has given 5000000 microwatts in every reading, idle and busy: the sensor stands still"
    )


def test_a_power_that_no_device_takes_is_no_figure(gauge):
    gauge.value = 90000 * 1000000
    meter = Meter(gauge, idle_s=0.0)
    sampler = recorded(meter, gauge)
    metrics, account = meter.judge(sampler, Measured(window_of(sampler), 4), Wakeups(gauge))
    assert metrics == []
    assert account["reason"] == "scripted says 90000 W, outside of 0 to 20000 W"
