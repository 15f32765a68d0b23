"""Heat and throttling during real runs, on the tree of a board that a trial itself heats up."""

import time

import pytest

from fixture_trees import RASPBERRY_PI_4, write_file, write_tree
from worker_client import trials_of

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


def test_a_throttled_trial_is_marked(pi, plans, board):
    plans.add_program("job", f"#!/bin/sh\necho d0005 > {board}/{THROTTLED}\n{DONE}")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert finished["invalid"] == ["throttled"]
    assert finished["conditions"]["throttled"] is True


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


def test_the_kernels_count_of_oom_kills_tells_memory_from_malice(pi, plans, board):
    plans.add_program("job", f"#!/bin/sh\necho 'oom_kill 1' > {board}/proc/vmstat\nkill -KILL $$\n")
    finished = trials_of(pi.execute("run-1", plans))[0]
    assert (finished["failure"]["kind"], finished["failure"]["signal"]) == ("out-of-memory", "SIGKILL")
