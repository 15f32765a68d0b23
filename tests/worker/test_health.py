"""What a device says of the state in which the last run left it."""

import os
import signal
import subprocess

import pytest

from device_worker.serving import facts, health
from device_worker.state.state_dir import StateDir
from device_worker.system.process_identity import read_boot_id
from fixture_trees import write_tree
from worker_client import read_log, runner_of, wait_until
from worker_plans import OK_SCRIPT

HANG = "#!/bin/sh\necho $$ > {0}\nexec sleep 600\n"


def health_of(device):
    return device.ask("facts")["facts"]["health"]


@pytest.fixture
def running(device, plans, tmp_path, state_dir):
    """A run in the midst of its first trial."""
    flag = tmp_path / "flag"
    plans.add_program("job", HANG.format(flag))
    device.start("run-1", plans)
    wait_until(lambda: flag.exists() and flag.read_text().endswith("\n"))
    return runner_of(state_dir, "run-1")


def kill(runner):
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not runner.is_alive)


def test_a_device_that_has_never_run_anything_is_in_order(device):
    found = health_of(device)
    expected = {"holder": None, "previous_crash": None, "leftover_processes": 0, "damaged_logs": [], "read_only": False}
    assert {key: found[key] for key in expected} == expected
    assert found["files_free"] is None or found["files_free"] > 0


def test_a_device_that_measures_says_for_which_run(device, running):
    found = health_of(device)
    assert found["holder"]["run"] == "run-1"
    assert found["holder"]["since_unix"] > 0
    assert (found["previous_crash"], found["leftover_processes"]) == (None, 0)


def test_a_killed_runner_is_a_previous_crash_until_the_next_one_ends_in_order(device, running, plans):
    kill(running)
    found = health_of(device)
    assert (found["previous_crash"]["run"], found["previous_crash"]["rebooted"]) == ("run-1", False)
    assert found["holder"] is None
    other = type(plans)()
    other.add_program("job")
    assert device.execute("run-2", other)[-1]["outcome"] == "complete"
    assert health_of(device)["previous_crash"] is None


def test_a_crash_that_somebody_has_seen_to_is_no_news(device, running):
    kill(running)
    device.ask("cancel", run="run-1")
    status = device.ask("status", run="run-1")
    assert device.ask("forget", run="run-1", log_id=status["log_id"], last_seq=status["last_seq"])["forgotten"] is True
    assert health_of(device)["previous_crash"] is None


def test_what_a_killed_runner_left_running_is_counted(device, running):
    environment = dict(os.environ, BENCHFLEET_RUNNER=running.marker)
    with subprocess.Popen(["sleep", "600"], env=environment) as leftover:
        try:
            kill(running)
            wait_until(lambda: health_of(device)["leftover_processes"] == 1)  # the trial itself died with its runner
        finally:
            leftover.kill()


def test_a_log_that_was_set_aside_as_damaged_is_named(device, running, state_dir):
    kill(running)
    os.rename(
        os.path.join(state_dir, "runs", "run-1", "log"), os.path.join(state_dir, "runs", "run-1", "log.damaged-17")
    )
    assert health_of(device)["damaged_logs"] == ["run-1"]


def follow_end(device, log_id):
    return list(device.follow("run-1", log_id))[-1]


def test_a_follower_is_told_that_a_runner_was_killed(device, running, state_dir):
    kill(running)
    end = follow_end(device, read_log(state_dir, "run-1")[0]["log_id"])
    assert (end["state"], "killed" in end["reason"]) == ("stopped", True)


def test_a_follower_is_told_that_the_device_was_restarted(device, running, state_dir):
    kill(running)
    pid = os.path.join(state_dir, "runs", "run-1", "pid")
    with open(pid) as file:
        text = file.read()
    with open(pid, "w") as file:
        file.write(text.replace(read_boot_id(), "an-earlier-boot"))
    assert follow_end(device, None)["reason"] == "the device was restarted"


def test_a_run_that_was_ended_in_order_has_no_such_reason(device, plans):
    plans.add_program("job")
    messages = list(device.follow("run-1", device.start("run-1", plans)["log_id"]))
    assert (messages[-1]["state"], messages[-1]["reason"]) == ("finished", None)


def test_lingering_is_asked_for_only_where_it_matters(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root = tmp_path / "root"
    monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", write_tree(root, {"var/lib/systemd/linger/none": ""}))
    assert health.collect_health(str(tmp_path))["login_lingers"] is None
    write_tree(root, {"etc/systemd/logind.conf": "KillUserProcesses=yes\n"})
    found = facts.collect_facts(str(tmp_path))
    assert (found["login_kills_processes"], found["health"]["login_lingers"]) == (True, False)


def test_a_lock_of_nonsense_is_nobodys(tmp_path):
    for content in (b"", b"[]", b"{", b'{"pid": 1}', b"\xff\xfe"):
        (tmp_path / "lock").write_bytes(content)
        found = health.collect_health(str(tmp_path))
        assert (found["holder"], found["previous_crash"]) == (None, None)
    assert StateDir(str(tmp_path)).known_runs() == []


def test_a_runner_that_proc_does_not_show_is_alive_by_its_lock(connect, plans, tmp_path):
    """As a runner in another container that shares the state folder: it has no number here."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a process namespace")
    elsewhere = connect(prefix=("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"))
    flag, gate = tmp_path / "flag", tmp_path / "gate"
    os.mkfifo(str(gate))
    plans.add_program("job", f"#!/bin/sh\ntouch {flag}\nread line < {gate}\n{OK_SCRIPT[10:]}")
    log_id = elsewhere.start("run-1", plans)["log_id"]
    wait_until(flag.exists)
    here = connect()
    found = health_of(here)
    assert (found["holder"]["run"], found["previous_crash"], found["leftover_processes"]) == ("run-1", None, 0)
    assert here.ask("status", run="run-1")["state"] == "running"
    messages = here.follow("run-1", log_id, heartbeat_s=0.2)
    here.until(messages, "trial-started")
    gate.write_text("go\n")
    assert [message["state"] for message in messages if message["type"] == "follow-ended"] == ["finished"]
