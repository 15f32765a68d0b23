"""The governor of a run: set where a plan says so, and given back in the end, after a kill as well."""

import os
import signal

import pytest

from device_worker.sensing.governor_hold import GovernorHold, undo_if_alone
from device_worker.state.state_dir import StateDir
from fixture_trees import RASPBERRY_PI_4, write_tree
from worker_client import trials_of

GOVERNOR = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"
OTHER = "sys/devices/system/cpu/cpufreq/policy4/scaling_governor"
DONE = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board of files with two clusters of different governors."""
    root = tmp_path / "board"
    write_tree(root, dict(RASPBERRY_PI_4, **{OTHER: "schedutil\n"}))
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", str(root))
    return root


@pytest.fixture
def state(tmp_path):
    made = StateDir(str(tmp_path / "held"))
    made.make()
    return made


def governors(board):
    return [(board / path).read_text().strip() for path in (GOVERNOR, OTHER)]


def test_each_cluster_gets_its_own_governor_back(board, state):
    hold = GovernorHold(state)
    assert hold.set("performance") is None
    assert governors(board) == ["performance"] * 2
    assert len(hold.undo()) == 2
    assert governors(board) == ["ondemand", "schedutil"]
    assert not os.path.exists(state.governor)
    assert hold.undo() == {}


def test_what_fails_half_way_is_undone(board, state):
    (board / OTHER).unlink()
    (board / OTHER).symlink_to("/proc/version")  # which even root can read, and not write
    assert GovernorHold(state).set("performance") is not None
    assert governor_of(board) == "ondemand"
    assert not os.path.exists(state.governor)


def governor_of(board):
    return (board / GOVERNOR).read_text().strip()


def test_a_board_without_governors_says_so(tmp_path, monkeypatch, state):
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(tmp_path / "none", {}))
    assert "no cpufreq" in GovernorHold(state).set("performance")
    assert not os.path.exists(state.governor)


def test_a_reboot_has_undone_it_already(board, state):
    GovernorHold(state).set("performance")
    with open(state.governor) as file:
        text = file.read()
    with open(state.governor, "w") as file:
        file.write(text.replace('"boot_id": "', '"boot_id": "before-'))
    (board / GOVERNOR).write_text("userspace\n")
    assert GovernorHold(state).undo() == {}
    assert governor_of(board) == "userspace"
    assert not os.path.exists(state.governor)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_record_that_somebody_broke_is_removed(board, state, content):
    with open(state.governor, "w") as file:
        file.write(content)
    undo_if_alone(state)
    assert not os.path.exists(state.governor)


def test_a_run_sets_the_governor_and_gives_it_back(connect, plans, board):
    device = connect(environment={"BENCHFLEET_SYSFS_ROOT": str(board)})
    plans.plan["limits"]["governor"] = "performance"
    plans.plan["control"] = {"governor": "performance"}
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    finished = trials_of(device.execute("run-1", plans))[0]
    assert finished["invalid"] == []
    assert finished["conditions"]["governor"] == "performance"
    assert governors(board) == ["ondemand", "schedutil"]


def test_a_killed_runner_leaves_a_record_that_the_next_connection_finds(connect, plans, board, state_dir):
    environment = {"BENCHFLEET_SYSFS_ROOT": str(board)}
    device = connect(environment=environment)
    plans.plan["control"] = {"governor": "performance"}
    plans.add_program("job", "#!/bin/sh\nexec tail -f /dev/null\n")
    answer = device.start("run-1", plans)
    device.until(device.follow("run-1", answer["log_id"]), "trial-started")
    assert governors(board) == ["performance"] * 2
    connect(environment=environment).close()  # while the runner lives nothing is given back
    assert governors(board) == ["performance"] * 2
    os.kill(answer["pid"], signal.SIGKILL)
    with open(os.path.join(state_dir, "lock")) as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)  # until the kernel has given the lock back
    connect(environment=environment)
    assert governors(board) == ["ondemand", "schedutil"]
    assert not os.path.exists(os.path.join(state_dir, "governor"))
