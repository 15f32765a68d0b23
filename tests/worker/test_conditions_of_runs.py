"""Heat and throttling during real runs, on the tree of a board that a trial itself heats up."""

import os
import time

import pytest

from fixture_trees import RASPBERRY_PI_4, stat_file, write_file, write_tree
from worker_client import Refused, trials_of

TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
DONE = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'


@pytest.fixture
def board(tmp_path):
    root = tmp_path / "board"
    write_tree(root, RASPBERRY_PI_4)
    return root


@pytest.fixture
def pi(connect, board):
    """A connection to a Raspberry Pi of files."""
    return connect(environment={"BENCHFLEET_SYSFS_ROOT": str(board)})


def test_conditions_before_and_after_are_kept(pi, plans, board):
    plans.add_program("job", f"#!/bin/sh\necho 55123 > {board}/{TEMPERATURE}\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["conditions_before"]["temperature_c"] == 48.686
    assert finished["conditions"]["temperature_c"] == 55.123
    assert finished["conditions"]["governor"] == "ondemand"
    assert finished["conditions"]["cpu_mhz"] == 600.0
    assert finished["conditions"]["throttled"] is False
    assert finished["conditions"]["memory_available_bytes"] == 3300000 * 1024
    assert finished["invalid"] == []


def test_a_trial_that_got_too_hot_is_marked_and_repeated_at_the_end(pi, plans, board, tmp_path):
    plans.plan["limits"]["temperature_c_max"] = 75.0
    plans.plan["retries"]["invalid"] = 1
    flag = tmp_path / "flag"
    hot = f"if [ -e {flag} ]; then echo 50000; else touch {flag}; echo 81000; fi > {board}/{TEMPERATURE}\n"
    plans.add_program("hot", f"#!/bin/sh\n{hot}{DONE}")
    plans.add_program("cool", f"#!/bin/sh\necho 50000 > {board}/{TEMPERATURE}\n{DONE}")
    events = trials_of(pi.execute("run-1", plans))
    assert [(event["trial"], event["attempt"], event["outcome"], event["invalid"]) for event in events] == [
        ("hot.1", 1, "ok", ["too-hot"]),
        ("cool.1", 1, "ok", ["too-hot"]),
        ("hot.1", 2, "ok", []),
        ("cool.1", 2, "ok", []),
    ]


def test_reruns_that_an_earlier_log_has_taken_are_not_granted_again(pi, plans, board):
    """As after a cancelled run, or a state folder that is gone: the log begins anew, and the budget does not."""
    plans.plan["limits"]["temperature_c_max"] = 75.0
    plans.plan["retries"]["invalid"] = 2
    plans.add_program("hot", f"#!/bin/sh\necho 81000 > {board}/{TEMPERATURE}\n{DONE}", trials=2)
    spent = {"log-of-before": {"hot.1": {"failed": 0, "invalid": 2}, "gone.1": {"failed": 9, "invalid": 0}}}
    log_id = pi.start("run-1", plans, spent=spent)["log_id"]
    attempts = [event["trial"] for event in trials_of(pi.events("run-1", log_id))]
    assert (attempts.count("hot.1"), attempts.count("hot.2")) == (1, 3)


def test_a_throttled_trial_is_marked(pi, plans, board):
    plans.add_program("job", f"#!/bin/sh\necho d0005 > {board}/{THROTTLED}\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["invalid"] == ["throttled"]
    assert finished["conditions"]["throttled"] is True


def test_a_profile_after_a_steady_trial_is_valid(pi, plans):
    plans.plan["limits"]["unsteady_max_percent"] = 5.0
    steady = 'echo \'{"metric": "steady_ratio", "value": 1.0}\''
    steady_if_timed = f'case $(cat) in *\'"kind": "profile"\'*) ;; *) {steady};; esac\n'
    plans.add_program("job", f"#!/bin/sh\n{steady_if_timed}{DONE}")
    plans.plan["trials"].append({"trial": "job.2", "job": "job", "kind": "profile", "index": 1})
    timed, profile = trials_of(pi.execute("run-1", plans))
    assert (timed["conditions"]["unsteady_percent"], timed["invalid"]) == (0.0, [])
    assert profile["outcome"] == "ok", profile
    assert (profile["conditions"]["unsteady_percent"], profile["invalid"]) == (None, [])


def test_a_hot_device_is_waited_for(pi, plans, board):
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=60.0)
    write_file(board, TEMPERATURE, "80000\n")
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    log_id = pi.start("run-1", plans)["log_id"]
    messages = pi.follow("run-1", log_id, heartbeat_s=0.2)
    pi.until(messages, "runner-started")
    assert next(messages)["type"] == "alive"
    write_file(board, TEMPERATURE, "59000\n")
    rest = pi.until(messages, "trial-finished")
    assert trials_of(rest)[0]["invalid"] == []
    assert trials_of(rest)[0]["conditions_before"]["temperature_c"] == 59.0


def test_a_device_that_stays_hot_is_measured_after_all_and_marked(pi, plans, board):
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=0.3)
    write_file(board, TEMPERATURE, "80000\n")
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    begin = time.monotonic()
    events = pi.execute("run-1", plans)
    assert time.monotonic() - begin >= 0.3
    assert trials_of(events)[0]["invalid"] == ["too-hot"]


def test_a_wait_for_a_cooler_device_can_be_cancelled(pi, plans, board):
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=600.0)
    write_file(board, TEMPERATURE, "80000\n")
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    log_id = pi.start("run-1", plans)["log_id"]
    begin = time.monotonic()
    assert pi.ask("cancel", run="run-1")["state"] == "finished"
    assert time.monotonic() - begin < 2
    assert [event["kind"] for event in pi.events("run-1", log_id)] == ["log-opened", "runner-started", "run-finished"]


def test_a_wait_for_a_cooler_device_is_between_trials(pi, plans, board):
    plans.plan["limits"].update(temperature_c_max=60.0, cooldown_s_max=600.0)
    write_file(board, TEMPERATURE, "80000\n")
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    log_id = pi.start("run-1", plans)["log_id"]
    pi.ask("cancel", run="run-1", between_trials=True)
    assert [event["kind"] for event in pi.events("run-1", log_id)] == ["log-opened", "runner-started", "run-finished"]


def test_the_kernels_count_of_oom_kills_tells_memory_from_malice(pi, plans, board):
    plans.add_program("job", f"#!/bin/sh\necho 'oom_kill 1' > {board}/proc/vmstat\nkill -KILL $$\n")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert (finished["failure"]["kind"], finished["failure"]["signal"]) == ("out-of-memory", "SIGKILL")


PRESSURE = "proc/pressure/cpu"
CALM = "some avg10=0.10 avg60=0.10 avg300=0.10 total=1000000\n"
BUSY = "some avg10=80.00 avg60=9.00 avg300=2.00 total=901000000\n"


def test_a_trial_beside_other_work_is_marked_and_repeated(pi, plans, board, tmp_path):
    plans.plan["limits"]["cpu_pressure_max_percent"] = 20.0
    plans.plan["retries"]["invalid"] = 1
    write_file(board, PRESSURE, CALM)
    flag = tmp_path / "flag"
    busy = f"[ -e {flag} ] || {{ touch {flag}; printf '{BUSY.strip()}' > {board}/{PRESSURE}; }}\n"
    plans.add_program("job", f"#!/bin/sh\n{busy}{DONE}")
    first, second = trials_of(pi.execute("run-1", plans))
    assert first["conditions_before"]["cpu_pressure_percent"] == 0.1
    assert first["conditions"]["cpu_pressure_percent"] == 100.0
    assert first["invalid"] == ["cpu-pressure"]
    assert (second["attempt"], second["invalid"], second["conditions"]["cpu_pressure_percent"]) == (2, [], 0.0)


@pytest.mark.parametrize(("kind", "invalid"), [("profile", ["too-hot"]), ("preflight", [])])
def test_times_of_operators_are_judged_and_proofs_are_not(pi, plans, board, kind, invalid):
    plans.plan["limits"]["temperature_c_max"] = 75.0
    plans.add_program("job", f"#!/bin/sh\necho 81000 > {board}/{TEMPERATURE}\n{DONE}")
    plans.plan["trials"][0]["kind"] = kind
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert (finished["outcome"], finished["invalid"]) == ("ok", invalid)


def test_without_the_limit_pressure_is_recorded_and_judges_nothing(pi, plans, board):
    write_file(board, PRESSURE, CALM)
    plans.add_program("job", f"#!/bin/sh\nprintf '{BUSY.strip()}' > {board}/{PRESSURE}\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert (finished["conditions"]["cpu_pressure_percent"], finished["invalid"]) == (100.0, [])


def test_pressure_that_the_kernel_does_not_tell_is_unknown_with_the_reason(pi, plans):
    plans.plan["limits"]["cpu_pressure_max_percent"] = 20.0
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    for conditions in (finished["conditions_before"], finished["conditions"]):
        assert conditions["cpu_pressure_percent"] is None
        assert "/proc/pressure/cpu cannot be read" in conditions["unknown"]["cpu_pressure_percent"]
    assert finished["invalid"] == []


def test_a_limit_that_the_worker_does_not_support_starts_nothing(pi, plans):
    plans.plan["limits"]["humidity_percent_max"] = 60.0
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    with pytest.raises(Refused, match=r"limits\.humidity_percent_max: this worker does not support") as refused:
        pi.start("run-1", plans)
    assert refused.value.kind == "plan-invalid"
    assert pi.ask("status", run="run-1")["state"] == "unknown"


def test_a_limit_that_is_null_is_none(pi, plans):
    plans.plan["limits"]["humidity_percent_max"] = None
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    assert pi.execute("run-1", plans)[-1]["outcome"] == "complete"


STAT = "proc/stat"
SPIN = (
    "#!/usr/bin/env python3\n"
    "import os\n"
    "while sum(os.times()[:2]) < 0.3: pass\n"
    "open({stat!r}, 'w').write({after!r})\n"
    'print(\'{{"metric": "m", "value": 1}}\')\n'
    "print('{{\"done\": true}}')\n"
)


@pytest.mark.parametrize(
    ("after", "invalid"),
    [
        pytest.param({"user": 30, "idle": 170}, [], id="alone"),
        pytest.param({"user": 190, "idle": 10}, ["other-load"], id="beside others"),
        pytest.param({"user": 30, "idle": 20, "steal": 150}, ["cpu-steal"], id="host"),
    ],
)
def test_a_trial_is_judged_by_what_others_take_and_not_by_its_own_work(pi, plans, board, after, invalid):
    plans.plan["limits"].update(other_load_max_percent=20.0, cpu_steal_max_percent=10.0)
    write_file(board, STAT, stat_file())
    plans.add_program("job", SPIN.format(stat=str(board / STAT), after=stat_file(**after)))
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["outcome"] == "ok"
    assert finished["invalid"] == invalid
    assert "other_load_percent" not in finished["conditions"]["unknown"]


def test_a_kernel_without_pressure_is_judged_by_the_load_of_others(pi, plans, board):
    plans.plan["limits"].update(other_load_max_percent=20.0, cpu_pressure_max_percent=20.0)
    write_file(board, STAT, stat_file())
    plans.add_program("job", SPIN.format(stat=str(board / STAT), after=stat_file(user=190, idle=10)))
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["conditions"]["cpu_pressure_percent"] is None
    assert finished["invalid"] == ["other-load"]


AT_WORK = "end=$(($(date +%s%N) + 900000000)); while [ $(date +%s%N) -lt $end ]; do :; done\n"


@pytest.mark.parametrize(("clock", "invalid"), [("1490000", []), ("700000", ["frequency-low"])])
def test_the_clock_under_a_running_trial_is_judged(pi, plans, board, clock, invalid):
    for cpu in range(max(os.sched_getaffinity(0)) + 1):
        write_file(board, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq", "1500000\n")
        write_file(board, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", f"{clock}\n")
    plans.plan["limits"]["frequency_min_percent"] = 95.0
    plans.add_program("job", f"#!/bin/sh\n{AT_WORK}{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["invalid"] == invalid
    assert finished["conditions"]["frequency_percent"] == pytest.approx(100 * int(clock) / 1500000)
    assert "frequency_percent" not in finished["conditions_before"]
    assert 0 < finished["conditions"]["watch_cpu_ns"] < 0.1 * finished["duration_ns"]


@pytest.mark.parametrize(("peak_c", "invalid"), [(91, ["too-hot"]), (74, [])])
def test_a_peak_within_a_trial_is_seen_and_judged(pi, plans, board, peak_c, invalid):
    plans.plan["limits"].update(temperature_c_max=80.0, cooldown_s_max=60.0)
    plans.plan["retries"]["invalid"] = 1 if invalid else 0
    at_work = AT_WORK.replace("900000000", "5000000000")  # longer than two readings are apart
    hot, cool = (f"echo {degrees}000 > {board}/{TEMPERATURE}\n" for degrees in (peak_c, 55))
    plans.add_program("job", f"#!/bin/sh\n{hot}{at_work}{cool}{DONE}")
    begin = time.monotonic()
    first, *rest = trials_of(pi.execute("run-1", plans))
    assert first["invalid"] == invalid
    assert first["conditions"]["temperature_peak_c"] == peak_c
    assert first["conditions"]["temperature_c"] == 55.0
    assert "temperature_peak_c" not in first["conditions_before"]
    assert 0 < first["conditions"]["watch_cpu_ns"] < 0.1 * first["duration_ns"]
    assert len(rest) == len(invalid)
    assert time.monotonic() - begin < 50.0, "a peak of the last trial is nothing to wait for"


def test_a_short_trial_has_no_peak(pi, plans):
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert "temperature_peak_c" not in finished["conditions"]


def test_a_clock_that_nobody_tells_is_unknown_and_not_met(pi, plans):
    plans.plan["limits"]["frequency_min_percent"] = 95.0
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["conditions"]["frequency_percent"] is None
    assert "no cpufreq" in finished["conditions"]["unknown"]["frequency_percent"]


def test_a_governor_is_demanded_by_its_name(pi, plans):
    plans.plan["limits"]["governor"] = "performance"
    plans.plan["retries"]["invalid"] = 1
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    assert [finished["invalid"] for finished in trials_of(pi.execute("run-1", plans))] == [["governor"]] * 2
