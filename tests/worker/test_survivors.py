"""Programs that run as root under a runner that does not: nothing is measured beside what is left of them."""

import os
import pathlib
import signal
import subprocess
import threading

import pytest

import worker_client
from device_worker.system import leftovers, survivors, trial_mark
from hanging_file_system import HangingZone
from unprivileged import AS_NOBODY, make_home
from worker_client import PATIENCE_S, Refused, read_log, runner_of, trials_of, wait_until

DONE = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'


@pytest.fixture
def home():
    """The home of an ordinary user; the test is skipped where there cannot be one."""
    yield from make_home()


@pytest.fixture
def user(home, worker_zip):
    """A connection as an ordinary user."""
    client = worker_client.Client(worker_zip, home.state_dir, python=home.python, prefix=AS_NOBODY)
    yield client
    client.close()
    worker_client.end_runners(home.state_dir)


class Survivor:
    """A root's program that writes its number to a file and sleeps on."""

    def __init__(self, home):
        self._file = pathlib.Path(home.path, "pid")
        self.script = home.as_root(f"sh -c 'echo $$ > {self._file}; exec sleep 600'")
        self.escape = home.as_root(f"setsid sh -c 'sleep 600 & echo $! > {self._file}'")

    @property
    def has_begun(self):
        return self._file.exists() and self._file.read_text().endswith("\n")

    @property
    def pid(self):
        return int(self._file.read_text())

    def wait(self):
        wait_until(lambda: self.has_begun)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: trial_mark.is_dead(self.pid))


@pytest.fixture
def survivor(home):
    made = Survivor(home)
    yield made
    if made.has_begun and not trial_mark.is_dead(made.pid):
        made.end()


def other_plan(builder):
    plan = type(builder)()
    plan.add_program("job")
    return plan


def assert_named(text, pid):
    assert f"process {pid} of root (sleep 600)" in text, text


def test_a_trial_that_outlives_its_timeout_stops_its_runner(user, plans, survivor, home):
    plans.plan["limits"]["trial_timeout_s"] = 0.5
    plans.add_program("rooted", f"#!/bin/sh\nexec {survivor.script}\n")
    plans.add_program("after", trials=2)
    log_id = user.start("run-1", plans)["log_id"]
    messages = list(user.follow("run-1", log_id))
    events = read_log(home.state_dir, "run-1")
    assert [(event["trial"], event["outcome"]) for event in trials_of(events)] == [("rooted.1", "failed")]
    failure = trials_of(events)[0]["failure"]
    assert failure["kind"] == "timeout"
    assert_named(failure["message"], survivor.pid)
    stopped = events[-1]
    assert stopped["kind"] == "runner-stopped"
    assert stopped["processes"] == [{"pid": survivor.pid, "user": "root", "command": "sleep 600", "is_foreign": True}]
    assert (messages[-1]["state"], messages[-1]["reason"]) == ("stopped", stopped["reason"])
    assert_named(stopped["reason"], survivor.pid)
    with pytest.raises(Refused) as refused:
        user.start("run-1", plans)
    assert refused.value.kind == "survivor"
    assert_named(str(refused.value), survivor.pid)
    assert f"sudo kill -KILL {survivor.pid}" in refused.value.answer["hint"]
    survivor.end()
    user.start("run-1", plans)
    events = user.events("run-1", log_id)
    assert [event["trial"] for event in trials_of(events)] == ["rooted.1", "after.1", "after.2"]
    assert events[-1]["outcome"] == "complete"


def test_a_good_trial_counts_and_nothing_is_measured_beside_what_it_left(user, plans, survivor, home):
    until_it_is_roots = f"until [ -s {home.path}/pid ]; do sleep 0.02; done"
    begin = f"#!/bin/sh\n{survivor.script} >/dev/null 2>&1 &\n{until_it_is_roots}\n"
    plans.add_program("rooted", begin + DONE, trials=2)
    user.start("run-1", plans)
    assert list(user.follow("run-1", None))[-1]["state"] == "stopped"
    events = read_log(home.state_dir, "run-1")
    assert [(event["trial"], event["outcome"]) for event in trials_of(events)] == [("rooted.1", "ok")]
    assert_named(events[-1]["reason"], survivor.pid)


def test_a_plan_whose_last_trial_leaves_a_survivor_is_complete(user, plans, survivor, home):
    until_it_is_roots = f"until [ -s {home.path}/pid ]; do sleep 0.02; done"
    plans.add_program("rooted", f"#!/bin/sh\n{survivor.script} >/dev/null 2>&1 &\n{until_it_is_roots}\n" + DONE)
    assert user.execute("run-1", plans)[-1]["outcome"] == "complete"
    with pytest.raises(Refused) as refused:
        user.start("run-2", other_plan(plans))
    assert_named(str(refused.value), survivor.pid)


@pytest.mark.parametrize("way", ["child", "daemon"])
def test_what_outlives_its_runner_keeps_every_run_away(user, plans, survivor, home, way):
    """The daemon has a session and a parent of its own, and root's environment cannot be read."""
    words = survivor.script if way == "child" else survivor.escape
    plans.add_program("rooted", f"#!/bin/sh\n{words}\nexec sleep 600\n")
    user.start("run-1", plans)
    survivor.wait()
    runner = runner_of(home.state_dir, "run-1")
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not runner.is_alive)
    for run in ("run-1", "run-2", "run-2"):  # a refusal forgets nothing
        with pytest.raises(Refused) as refused:
            user.start(run, plans if run == "run-1" else other_plan(plans))
        assert refused.value.kind == "survivor"
        assert_named(str(refused.value), survivor.pid)
    health = user.ask("facts")["facts"]["health"]
    assert [(one["pid"], one["user"]) for one in health["survivors"]] == [(survivor.pid, "root")]
    assert user.ask("clean", runs=[], cache=True, dry_run=False)["type"] == "clean"
    assert user.ask("cancel", run="run-1")["state"] == "finished"
    assert not trial_mark.is_dead(survivor.pid)
    survivor.end()
    assert user.execute("run-2", other_plan(plans))[-1]["outcome"] == "complete"
    assert user.ask("facts")["facts"]["health"]["survivors"] == []


def test_what_is_ours_is_ended_even_without_a_trace_in_its_environment(device, plans, tmp_path, state_dir):
    pid_file = tmp_path / "pid"
    escape = f"env -i setsid sh -c 'sleep 600 & echo $! > {pid_file}'"
    plans.add_program("job", f"#!/bin/sh\n{escape}\nexec sleep 600\n")
    device.start("run-1", plans)
    wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    runner = runner_of(state_dir, "run-1")
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not runner.is_alive)
    pid = int(pid_file.read_text())
    assert not trial_mark.is_dead(pid)
    assert device.execute("run-2", other_plan(plans))[-1]["outcome"] == "complete"
    wait_until(lambda: trial_mark.is_dead(pid))


@pytest.fixture
def marked():
    """A function that starts a process with the mark of a state folder."""
    started = []

    def start(number, *command):
        started.append(subprocess.Popen(command, preexec_fn=lambda: trial_mark.mark_self(number)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_mark_is_of_one_folder_and_of_no_process_under_a_live_runner(marked):
    number = trial_mark.number_of("/somewhere")
    orphan = marked(number, "sleep", "600")
    loader = (
        "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()  # benchfleet-loader"
    )
    with subprocess.Popen(
        ["python3", "-c", loader],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: trial_mark.mark_self(number),
    ) as runner:
        child = int(runner.stdout.readline())
        found = trial_mark.find_orphans(number)
        assert orphan.pid in found
        assert child not in found
        assert orphan.pid in trial_mark.find_orphans(None)
        assert orphan.pid not in trial_mark.find_orphans(number + (1 if number < 999 else -1))
        os.kill(child, signal.SIGKILL)


FORKING = """
import ctypes, os, subprocess, sys  # benchfleet-loader
ctypes.CDLL(None).prctl(36, 1)
loop = "import os\\nwhile True:\\n if os.fork():\\n  os._exit(0)"
trial = subprocess.Popen([sys.executable, "-S", "-c", loop])
print(flush=True)
while True:
    os.wait()
"""


def test_a_trial_that_forks_without_end_is_no_orphan_under_its_runner():
    """Each process is gone a moment after its fork, often between two looks at its ancestors."""
    number = 901
    with subprocess.Popen(
        ["python3", "-c", FORKING],
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: trial_mark.mark_self(number),
    ) as runner:
        try:
            runner.stdout.readline()
            found = [set(trial_mark.find_orphans(number)) - {runner.pid} for _ in range(200)]
        finally:
            os.killpg(runner.pid, signal.SIGKILL)
    assert not any(found), found


def test_a_process_is_named_on_one_line_whatever_its_command_says(marked):
    long = marked(950, "sleep", "600")
    assert str(survivors.Leftover(long.pid)) == f"process {long.pid} of {survivors._user_of(os.getpid())} (sleep 600)"
    odd = marked(950, "sh", "-c", "kill -STOP $$; : '\n\x1b[31m" + "x" * 500 + "'")
    command = survivors.Leftover(odd.pid).command
    assert command.startswith("sh -c kill -STOP $$; : ' xxx")
    assert command.isprintable()
    assert len(command) == 120


def test_many_survivors_are_counted():
    many = [survivors.Leftover(os.getpid()) for _ in range(25)]
    assert survivors.name_all(many).endswith("and 22 more")
    error = survivors.refusal_for(many)
    assert (error.hint.startswith("reboot the device"), len(error.details["processes"])) == (True, 20)


def test_a_process_of_our_own_that_dies_late_is_no_survivor(tmp_path):
    """A read that hangs in the kernel stands for a sync to a worn card."""
    zone = tmp_path / "zone"
    zone.mkdir()
    found = []
    with HangingZone(zone) as served:
        if served.reason is not None:
            pytest.skip(served.reason)
        stuck = subprocess.Popen(["cat", str(zone / "temp")])
        served.wait_for_reader()
        ending = threading.Thread(
            target=lambda: found.append(leftovers.end_all(lambda: [] if stuck.poll() else [stuck.pid]))
        )
        ending.start()
        ending.join(leftovers._SWEEP_S_MAX + 1)
        assert stuck.poll() is None
    ending.join(PATIENCE_S)
    assert found == [[]]
    stuck.wait()
