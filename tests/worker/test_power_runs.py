"""Energy in real runs, on fake sensors whose energy is known."""

import os
import shutil
import sys
import time

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.plan import Plan
from device_worker.protocol.samples import decode_block
from fixture_trees import RASPBERRY_PI_4, write_tree
from power_fakes import FAKE_RAPL, HWMON, RAPL, BusyWhile, Constant, FakeIna3221, FakeRapl, FakeSlowIna219, SquareWave
from worker_client import trials_of

CPUS = sorted(os.sched_getaffinity(0))
ACCOUNT = {
    "source",
    "kind",
    "period_s",
    "samples",
    "rate_hz",
    "idle_w",
    "idle_u95_w",
    "idle_before_w",
    "idle_after_w",
    "idle_windows",
    "invoked_ratio",
    "is_estimate",
    "accuracy_ratio",
    "overhead_cpu_ns",
    "reason",
    "energy_reason",
    "caution",
    "trace",
}
ABSENT = ACCOUNT - {"samples", "overhead_cpu_ns", "reason", "energy_reason"}
POWER_METRICS = {
    "energy_mj",
    "energy_gross_mj",
    "energy_u95_mj",
    "energy_gross_u95_mj",
    "power_idle_w",
    "power_max_w",
    "power_mean_w",
}
BESIDES = "the window holds more than inferences: energy per inference includes what was done besides"

PROGRAM = """#!{python}
import json, os, time

def say(**line):
    print(json.dumps(line))

busy = {busy!r}
if busy:
    open(busy, "w").close()
time.sleep({lead_s})
runner = os.getppid()
threads = [int(name) for name in os.listdir("/proc/%d/task" % runner)]
cpus = [os.sched_getaffinity(thread) for thread in threads if thread != runner]
begin = time.monotonic_ns()
{middle}
time.sleep({window_s})
end = time.monotonic_ns()
if busy:
    time.sleep(0.1)
    os.unlink(busy)
say(metric="latency_ns", samples=[1000] * 30, batch=5)
say(metric="latency_ns", samples=[1000] * 10, batch=5)
say(metric="load_ns", samples=[7, 8, 9])
say(metric="runner_threads", value=len(threads))
if cpus:
    say(metric="sampler_cpu", value=min(cpus[0]))
    say(metric="sampler_cpus", value=len(cpus[0]))
{window}
say(done=True)
"""
INFERENCES = 200
WINDOW_S = 1.2
WINDOW = "say(window={'begin_mono_ns': begin, 'end_mono_ns': end})"


def program(busy=None, lead_s=0.1, window_s=WINDOW_S, middle="", window=WINDOW):
    busy = str(busy) if busy else None
    return PROGRAM.format(
        python=sys.executable, busy=busy, lead_s=lead_s, window_s=window_s, middle=middle, window=window
    )


@pytest.mark.parametrize("power", [None, {}, {"idle_s": "5"}, {"idle_s": -1}, {"idle_s": float("inf")}])
def test_a_plan_that_says_nonsense_of_idle_time_is_refused(plans, power):
    plans.plan["power"] = power
    with pytest.raises(WorkerError, match=r"^plan: power"):
        Plan.parse(plans.plan_bytes())


def test_a_plan_that_says_nothing_of_idle_time_gets_five_seconds(plans):
    del plans.plan["power"]
    assert Plan.parse(plans.plan_bytes()).idle_s == 5.0


@pytest.fixture
def board(tmp_path):
    return tmp_path / "board"


@pytest.fixture
def metered(connect, board):
    """A connection to a device of files."""
    return connect(environment={"BENCHFLEET_SYSFS_ROOT": str(board)})


def metrics_of(finished):
    assert finished["failure"] is None
    return {metric["name"]: metric.get("value") for metric in finished["metrics"]}


def absence_of(finished):
    """Return why nothing was sampled, from an account that says nothing else."""
    power = finished["power"]
    assert set(power) == ACCOUNT
    assert (power["samples"], power["overhead_cpu_ns"]) == (0, 0)
    assert {key: power[key] for key in ABSENT} == dict.fromkeys(ABSENT)
    return power["reason"]


def about(value, fake):
    """Within 4 per cent, and what the fake itself may be late by."""
    return pytest.approx(value, rel=0.04 + fake.pause_s_max / WINDOW_S)


def duration_of(finished):
    return finished["window"]["end_mono_ns"] - finished["window"]["begin_mono_ns"]


@pytest.mark.parametrize(
    "load",
    [Constant(15.0), SquareWave(5.0, 25.0, 130000000), SquareWave(2.0, 40.0, 31000000)],
    ids=["constant", "slow square wave", "fast square wave"],
)
def test_energy_from_counters_that_wrap_around_is_the_true_one(metered, plans, board, load):
    plans.add_program("job", program())
    with FakeRapl(board, load) as fake:
        finished = trials_of(metered.execute("run-1", plans))[0]
    metrics = metrics_of(finished)
    window = finished["window"]
    true_mj = (load.energy_uj(window["end_mono_ns"]) - load.energy_uj(window["begin_mono_ns"])) / 1000
    assert true_mj > 7000, "one counter at least has wrapped around within the window"
    assert metrics["energy_gross_mj"] * INFERENCES == about(true_mj, fake)
    assert metrics["power_mean_w"] == about(true_mj * 1e6 / duration_of(finished), fake)
    assert not {"energy_mj", "power_idle_w"} & set(metrics), "idle power was not asked for"
    assert metrics["power_max_w"] >= metrics["power_mean_w"]
    assert decode_block(finished["power"]["trace"]["values"])[0] == 0


@pytest.mark.parametrize("fake_type", [FakeRapl, FakeIna3221], ids=["counter", "gauge"])
def test_energy_is_counted_above_the_idle_power_of_the_same_run(metered, plans, board, tmp_path, fake_type):
    busy = tmp_path / "busy"
    plans.plan["power"]["idle_s"] = WINDOW_S
    plans.add_program("job", program(busy), trials=2)
    with fake_type(board, BusyWhile(busy, idle_w=4.0, busy_w=20.0)) as fake:
        events = metered.execute("run-1", plans)
    for finished in trials_of(events):
        metrics, seconds = metrics_of(finished), duration_of(finished) / 1e9
        # A busy machine tells the fake board late that a trial is over: 15 ms of 20 W are in the idle time then.
        assert metrics["power_idle_w"] == pytest.approx(4.0, abs=1.0)
        assert metrics["power_mean_w"] == about(20.0, fake)
        assert metrics["energy_gross_mj"] == about(20.0 * 1000 * seconds / INFERENCES, fake)
        assert metrics["energy_mj"] == about(16.0 * 1000 * seconds / INFERENCES, fake)
        power = finished["power"]
        assert set(power) == ACCOUNT
        assert power["idle_w"] == metrics["power_idle_w"]
        assert power["idle_before_w"] == pytest.approx(4.0, abs=1.0)
        assert power["idle_after_w"] == pytest.approx(4.0, abs=1.0)
        assert (power["reason"], power["energy_reason"]) == (None, None)
        assert power["caution"] == BESIDES if fake_type is FakeRapl else power["caution"].endswith(BESIDES)
        assert decode_block(power["trace"]["intervals_ns"])[0] == 0
        assert power["trace"]["values"]["count"] == power["samples"]
        assert (power["source"], power["kind"], power["period_s"]) == (
            "rapl" if fake_type is FakeRapl else "hwmon ina3221 VDD_IN",
            "energy-counter" if fake_type is FakeRapl else "power-gauge",
            0.016 if fake_type is FakeRapl else 0.04,
        )
        sources = {metric["name"]: metric.get("source") for metric in finished["metrics"]}
        assert {sources.pop(name) for name in POWER_METRICS} == {power["source"]}
        assert set(sources.values()) == {None}, "what the trial measured has no power source"
        assert power["samples"] >= 20
        assert 0 < power["overhead_cpu_ns"] < 0.1 * finished["duration_ns"]
    started = trials_of(events, "trial-started")
    assert started[0]["at_mono_ns"] - events[1]["at_mono_ns"] >= 1.2e9
    assert started[1]["at_mono_ns"] - trials_of(events)[0]["at_mono_ns"] < 1e9, "idle power is measured before once"


@pytest.mark.skipif(len(CPUS) < 2, reason="one CPU only")
def test_the_sampler_keeps_off_the_trials_cpus(metered, plans, board):
    plans.add_program("job", program(window_s=0.01), settings={"cpus": str(CPUS[0])})
    write_tree(board, FAKE_RAPL)
    metrics = metrics_of(trials_of(metered.execute("run-1", plans))[0])
    assert (metrics["runner_threads"], metrics["sampler_cpus"]) == (2, len(CPUS) - 1)
    assert metrics["sampler_cpu"] == CPUS[1]


def test_a_device_without_a_source_pays_nothing(metered, plans, board):
    write_tree(board, RASPBERRY_PI_4)
    plans.plan["power"]["idle_s"] = 60.0
    plans.add_program("job", program(window_s=0.01))
    begin = time.monotonic()
    finished = trials_of(metered.execute("run-1", plans))[0]
    assert time.monotonic() - begin < 20
    assert set(metrics_of(finished)) == {"latency_ns", "load_ns", "runner_threads"}
    assert metrics_of(finished)["runner_threads"] == 1
    assert absence_of(finished) == "the device has no power source"
    assert metered.ask("facts")["facts"]["power_sources"] == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"window_s": 0.2}, "within the window, fewer than 20"),
        ({"window_s": 0.01, "window": ""}, "the trial reported no window"),
        ({"window_s": 0.01, "middle": "begin = 1"}, "not within the time that was watched"),
        ({"window_s": 0.01, "window": "say(window={'end_mono_ns': 'soon'})"}, "the trial reported no window"),
    ],
    ids=["too short", "no window", "before all time", "no numbers"],
)
def test_a_window_that_cannot_be_judged_has_no_figures_and_says_why(metered, plans, board, options, reason):
    plans.add_program("job", program(**options))
    with FakeRapl(board, Constant(15.0)):
        finished = trials_of(metered.execute("run-1", plans))[0]
    assert finished["outcome"] == "ok"
    assert not POWER_METRICS & set(metrics_of(finished))
    assert finished["power"]["reason"].endswith(reason)


def test_a_source_that_vanishes_in_the_midst_leaves_no_figures(metered, plans, board):
    """The next trial of the same run has nothing to read at all."""
    write_tree(board, FAKE_RAPL)
    plans.add_program(
        "job", program(window_s=0.2, middle=f"import shutil; shutil.rmtree({str(board)!r}, True)"), trials=2
    )
    for finished in trials_of(metered.execute("run-1", plans)):
        assert not POWER_METRICS & set(metrics_of(finished))
        assert finished["power"]["reason"] == "rapl could not be read any more"


def test_a_source_that_cannot_be_read_is_passed_over_and_reported(metered, plans, board):
    write_tree(board, FAKE_RAPL)
    os.unlink(str(board / RAPL / "intel-rapl:1" / "energy_uj"))
    plans.add_program("job", program(window_s=0.01))
    finished = trials_of(metered.execute("run-1", plans))[0]
    assert absence_of(finished).startswith("rapl: /sys/class/powercap/intel-rapl:1/energy_uj: ")
    assert metrics_of(finished)["runner_threads"] == 1
    (source,) = metered.ask("facts")["facts"]["power_sources"]
    assert (source["name"], source["readable"]) == ("rapl", False)
    assert source["reason"].startswith("/sys/class/powercap/intel-rapl:1/energy_uj: ")


def test_what_a_program_measures_of_itself_stands(metered, plans, board):
    plans.add_program("job", program(window=WINDOW + "\nsay(metric='energy_gross_mj', value=7.25)"))
    with FakeIna3221(board, BusyWhile(board / "never", idle_w=4.0, busy_w=20.0)):
        finished = trials_of(metered.execute("run-1", plans))[0]
    assert [metric["name"] for metric in finished["metrics"]].count("energy_gross_mj") == 1
    assert metrics_of(finished)["energy_gross_mj"] == 7.25
    assert [metric.get("source") for metric in finished["metrics"] if metric["name"] == "energy_gross_mj"] == [None]
    assert metrics_of(finished)["power_mean_w"] == pytest.approx(4.0)


def test_preflights_and_failed_attempts_have_no_power(metered, plans, board):
    write_tree(board, FAKE_RAPL)
    plans.add_job("job", files=[plans.add_file("p", program(window_s=0.01).encode())], command=["./p"])
    plans.add_trials("job", 0, preflight=True)
    plans.add_program("bad", program(window_s=0.01, middle="raise SystemExit(3)"))
    preflight, failed = trials_of(metered.execute("run-1", plans))
    assert metrics_of(preflight)["runner_threads"] == 1
    assert (preflight["power"], failed["power"]) == (None, None)
    assert (failed["outcome"], failed["metrics"]) == ("failed", [])


HEEDING = """
begin = time.monotonic_ns()
time.sleep(float(os.environ["BENCHFLEET_SECONDS_MIN"]))
"""


def heeding_program():
    """Return a program that measures for as long as it is asked to, and no longer."""
    return program(window_s=0.0, middle=HEEDING)


def test_a_source_that_shows_two_means_a_second_gives_a_figure_with_a_caution(metered, plans, board):
    """The sweep wants 0.2 s of each trial: the runner asks for as much as `seconds_max` allows."""
    plans.plan["measure"].update(seconds_min=0.2, seconds_max=11.5)
    plans.plan["limits"]["trial_timeout_s"] = 40.0
    plans.add_program("job", heeding_program())
    load = SquareWave(4.0, 12.0, 700000000)
    with FakeSlowIna219(board, load) as fake:
        finished = trials_of(metered.execute("run-1", plans))[0]
    power, window = finished["power"], finished["window"]
    seconds = duration_of(finished) / 1e9
    assert 11.5 <= seconds < 14
    assert (power["source"], power["period_s"], power["reason"]) == ("hwmon ina219", 0.5, None)
    assert power["rate_hz"] == pytest.approx(2.0, rel=0.1)
    assert "the window holds fewer than 60 readings of 0.5 s each" in power["caution"]
    true_uj = load.energy_uj(window["end_mono_ns"]) - load.energy_uj(window["begin_mono_ns"])
    late_share = (0.5 + fake.pause_s_max) / seconds  # what the last half second may differ by
    assert metrics_of(finished)["power_mean_w"] == pytest.approx(true_uj / seconds / 1e6, rel=late_share)


def test_a_source_that_is_too_slow_for_the_sweep_says_what_it_would_take(metered, plans, board):
    plans.plan["measure"].update(seconds_min=0.2, seconds_max=1.0)
    plans.add_program("job", heeding_program())
    with FakeSlowIna219(board, Constant(5.0)):
        finished = trials_of(metered.execute("run-1", plans))[0]
    assert duration_of(finished) < 1e9, "a longer window would have gained nothing"
    assert not POWER_METRICS & set(metrics_of(finished))
    assert finished["power"]["reason"].endswith(
        " readings, fewer than 20: hwmon ina219 has a reading each 0.5 s, so that a window takes 11 s, "
        "and seconds_max allows 1 s"
    )


def test_a_window_that_ended_at_runs_max_names_runs_max(metered, plans, board):
    """The program reports 40 latency samples, and the sweep allows 40."""
    plans.plan["measure"].update(seconds_min=0.2, seconds_max=12.0, runs_min=1, runs_max=40)
    plans.plan["limits"]["trial_timeout_s"] = 40.0
    plans.add_program("job", program(window_s=0.3))
    with FakeSlowIna219(board, Constant(5.0)):
        finished = trials_of(metered.execute("run-1", plans))[0]
    assert not POWER_METRICS & set(metrics_of(finished))
    reason = finished["power"]["reason"]
    assert " readings, fewer than 20: the window ended at runs_max 40 after 0.3" in reason
    assert reason.endswith(" s, of 12 s wanted")


def test_the_wait_for_idle_power_can_be_cancelled(metered, plans, board):
    write_tree(board, FAKE_RAPL)
    plans.plan["power"]["idle_s"] = 50.0
    plans.add_program("job")
    log_id = metered.start("run-1", plans)["log_id"]
    begin = time.monotonic()
    assert metered.ask("cancel", run="run-1")["state"] == "finished"
    assert time.monotonic() - begin < 5
    events = metered.events("run-1", log_id)
    assert [event["kind"] for event in events] == ["log-opened", "runner-started", "run-finished"]


def test_a_gauge_that_vanishes_before_the_run_is_no_source(metered, plans, board):
    with FakeIna3221(board, BusyWhile(board / "never", idle_w=4.0, busy_w=20.0)):
        assert metered.ask("facts")["facts"]["power_sources"][0]["readable"]
    shutil.rmtree(str(board / HWMON))
    plans.add_program("job", program(window_s=0.01))
    assert absence_of(trials_of(metered.execute("run-1", plans))[0]) == "the device has no power source"
