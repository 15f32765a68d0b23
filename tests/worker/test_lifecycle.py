"""Runners that are killed, cancelled, stopped, kept out and started again."""

import json
import os
import signal
import time

import pytest

from device_worker.system.process_identity import ProcessIdentity
from worker_client import Refused, read_log, runner_of, sha256_of, trials_of, wait_until

DONE = 'echo \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'


class Gate:
    """A fifo at which a trial waits, and a file in which each attempt leaves its process number."""

    def __init__(self, folder):
        self.fifo = folder / "gate"
        self.pids = folder / "pids"
        os.mkfifo(str(self.fifo))

    @property
    def script(self):
        return f"#!/bin/sh\necho $$ >> {self.pids}\nread line < {self.fifo}\n{DONE}"

    def open(self):
        with open(str(self.fifo), "w") as fifo:
            fifo.write("go\n")

    def wait_for_trial(self, number=1):
        """Wait until the given attempt, counted over all trials, has begun; return its process."""
        wait_until(lambda: len(self._read()) >= number)
        return self._read()[number - 1]

    def _read(self):
        return [int(pid) for pid in self.pids.read_text().split()] if self.pids.exists() else []


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def kill_runner(state_dir, run):
    runner = runner_of(state_dir, run)
    os.kill(runner.pid, signal.SIGKILL)
    wait_until(lambda: not runner.is_alive)


def test_a_killed_runner_is_started_again_and_each_trial_is_done_once(device, plans, gate, state_dir):
    plans.add_program("before", f"#!/bin/sh\n{DONE}", trials=2)
    plans.add_program("gated", gate.script)
    plans.add_program("after", f"#!/bin/sh\n{DONE}", trials=2)
    log_id = device.start("run-1", plans)["log_id"]
    first_trial = gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    wait_until(lambda: not is_alive(first_trial))
    assert device.ask("status", run="run-1")["state"] == "stopped"
    again = device.start("run-1", plans)
    assert (again["state"], again["log_id"]) == ("running", log_id)
    gate.wait_for_trial(2)
    gate.open()
    events = device.events("run-1", log_id)
    assert [event["trial"] for event in trials_of(events)] == ["before.1", "before.2", "gated.1", "after.1", "after.2"]
    starts = [(event["trial"], event["attempt"]) for event in trials_of(events, "trial-started")]
    assert starts.count(("gated.1", 1)) == starts.count(("gated.1", 2)) == 1
    assert len(starts) == 6
    assert len(trials_of(events, "runner-started")) == 2
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_a_trial_that_takes_its_runner_down_is_given_up_and_the_others_get_their_turn(device, plans):
    plans.add_program("fatal", "#!/bin/sh\nkill -9 $PPID\n")
    plans.add_program("good", f"#!/bin/sh\n{DONE}", trials=2)
    log_id = device.start("run-1", plans)["log_id"]
    for _ in range(3):
        assert list(device.follow("run-1", log_id))[-1]["state"] == "stopped"
        device.start("run-1", plans)
    events = device.events("run-1", log_id)
    assert [event["trial"] for event in trials_of(events)] == ["fatal.1", "good.1", "good.2"]
    fatal = trials_of(events)[0]
    assert (fatal["outcome"], fatal["failure"]["kind"], fatal["attempt"]) == ("failed", "runner-died", 3)
    assert events[-1]["outcome"] == "complete"


def test_a_follower_hears_at_once_that_a_runner_was_killed(device, plans, gate, state_dir):
    plans.add_program("job", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    messages = device.follow("run-1", log_id, heartbeat_s=25.0)
    device.until(messages, "trial-started")
    gate.wait_for_trial()
    begin = time.monotonic()
    kill_runner(state_dir, "run-1")
    assert [message["state"] for message in messages] == ["stopped"]
    assert time.monotonic() - begin < 5


def test_what_a_killed_runner_left_is_ended_by_the_next_runner_of_any_run(device, plans, tmp_path, state_dir):
    """The daemon leaves the trial's session, so that neither its group nor its parent's death reaches it."""
    pids = tmp_path / "daemon"
    plans.add_program("job", f"#!/bin/sh\n(setsid sh -c 'echo $$ > {pids}; exec sleep 600' &) &\nsleep 600\n")
    device.start("run-1", plans)
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    daemon = int(pids.read_text())
    kill_runner(state_dir, "run-1")
    assert is_alive(daemon)
    other = type(plans)()
    other.add_program("job")
    assert device.execute("run-2", other)[-1]["outcome"] == "complete"
    assert not is_alive(daemon)


def test_what_a_killed_runner_left_is_ended_by_a_cancellation(device, plans, tmp_path, state_dir):
    pids = tmp_path / "daemon"
    plans.add_program("job", f"#!/bin/sh\n(setsid sh -c 'echo $$ > {pids}; exec sleep 600' &) &\nsleep 600\n")
    device.start("run-1", plans)
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    daemon = int(pids.read_text())
    kill_runner(state_dir, "run-1")
    assert is_alive(daemon)
    assert device.ask("cancel", run="run-1")["state"] == "finished"
    assert not is_alive(daemon)


def test_a_torn_log_goes_on_after_a_power_cut(device, plans, gate, state_dir):
    plans.add_program("before", f"#!/bin/sh\n{DONE}")
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    log = os.path.join(state_dir, "runs", "run-1", "log")
    os.truncate(log, os.path.getsize(log) - 5)
    device.start("run-1", plans)
    gate.wait_for_trial(2)
    gate.open()
    events = device.events("run-1", log_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["trial"] for event in trials_of(events)] == ["before.1", "gated.1"]


def test_a_log_damaged_in_its_middle_is_replaced_and_the_controller_is_told_by_its_id(device, plans, gate, state_dir):
    plans.add_program("before", f"#!/bin/sh\n{DONE}", trials=3)
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    with open(os.path.join(state_dir, "runs", "run-1", "log"), "r+b") as file:
        file.seek(400)
        file.write(b"\0")
    answer = device.start("run-1", plans, skip=["before.1", "before.2", "before.3"])
    assert answer["log_id"] != log_id
    gate.wait_for_trial(2)
    gate.open()
    events = device.events("run-1", log_id, after_seq=9)
    assert (events[0]["seq"], events[0]["log_id"]) == (1, answer["log_id"])
    assert [event["trial"] for event in trials_of(events)] == ["gated.1"]


def test_cancel_ends_a_trial_within_two_seconds(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script.replace("#!/bin/sh\n", "#!/bin/sh\ntrap '' TERM INT HUP\n"), trials=3)
    log_id = device.start("run-1", plans)["log_id"]
    trial = gate.wait_for_trial()
    begin = time.monotonic()
    assert device.ask("cancel", run="run-1")["state"] == "finished"
    assert time.monotonic() - begin < 2
    assert not is_alive(trial)
    events = device.events("run-1", log_id)
    assert [(event["trial"], event["failure"]["kind"]) for event in trials_of(events)] == [("gated.1", "cancelled")]
    assert events[-1]["outcome"] == "cancelled"
    assert device.start("run-1", plans)["state"] == "finished"
    assert device.ask("cancel", run="run-1")["state"] == "finished"
    assert read_log(state_dir, "run-1") == events


def test_cancel_between_trials_lets_the_present_trial_end(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script, trials=3)
    log_id = device.start("run-1", plans)["log_id"]
    trial = gate.wait_for_trial()
    for _ in range(2):  # a second one changes nothing
        assert device.ask("cancel", run="run-1", between_trials=True)["state"] == "running"
    assert is_alive(trial)
    gate.open()
    events = device.events("run-1", log_id)
    assert [(event["trial"], event["failure"]) for event in trials_of(events)] == [("gated.1", None)]
    assert events[-1]["outcome"] == "cancelled"
    assert read_log(state_dir, "run-1") == events


def test_cancel_between_trials_of_a_stopped_run_ends_it_at_once(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    assert device.ask("cancel", run="run-1", between_trials=True)["state"] == "finished"
    assert device.events("run-1", log_id)[-1]["outcome"] == "cancelled"


def test_cancel_while_following_ends_the_log(device, plans, gate):
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    messages = device.follow("run-1", log_id)
    device.until(messages, "trial-started")
    device.send("cancel", run="run-1")
    rest = list(messages)
    assert (rest[-1]["type"], rest[-1]["state"]) == ("follow-ended", "finished")
    assert {message["type"] for message in rest} == {"records", "follow-ended"}


def test_a_stopped_run_can_be_cancelled(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    assert device.ask("cancel", run="run-1")["state"] == "finished"
    assert device.events("run-1", log_id)[-1]["outcome"] == "cancelled"
    assert device.start("run-1", plans)["state"] == "finished"


def test_a_shutdown_of_the_device_is_no_cancellation(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    trial = gate.wait_for_trial()
    runner = runner_of(state_dir, "run-1")
    os.kill(runner.pid, signal.SIGTERM)
    wait_until(lambda: not runner.is_alive)
    assert not is_alive(trial)
    assert device.ask("status", run="run-1")["state"] == "stopped"
    device.start("run-1", plans)
    gate.wait_for_trial(2)
    gate.open()
    events = device.events("run-1", log_id)
    assert [(event["trial"], event["attempt"], event["outcome"]) for event in trials_of(events)] == [
        ("gated.1", 2, "ok")
    ]


def test_a_device_measures_for_one_run_at_a_time(device, connect, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    first = device.start("run-1", plans)
    gate.wait_for_trial()
    with pytest.raises(Refused) as refused:
        connect().start("run-2", plans)
    assert refused.value.kind == "device-busy"
    holder = refused.value.answer["holder"]
    assert (holder["run"], holder["pid"]) == ("run-1", first["pid"])
    assert abs(holder["since_unix"] - time.time()) < 60
    assert "run-1" in str(refused.value)
    assert not os.path.exists(os.path.join(state_dir, "runs", "run-2"))
    gate.open()
    device.events("run-1", first["log_id"])
    other = type(plans)()
    other.add_program("job")
    assert connect().execute("run-2", other)[-1]["outcome"] == "complete"


def test_a_killed_runner_does_not_keep_the_device(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    device.start("run-1", plans)
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    other = type(plans)()
    other.add_program("job")
    assert device.execute("run-2", other)[-1]["outcome"] == "complete"


def test_a_process_that_has_only_the_number_of_a_runner_is_never_signalled(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    device.start("run-1", plans)
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    mine = ProcessIdentity.of_self()
    pid_file = os.path.join(state_dir, "runs", "run-1", "pid")
    for imposter in (
        dict(mine.to_json(), start_ticks=mine.start_ticks - 1),
        dict(mine.to_json(), boot_id="an earlier boot"),
    ):
        with open(pid_file, "w") as file:
            json.dump(imposter, file)
        assert device.ask("status", run="run-1")["state"] == "stopped"
    alarms = []
    previous = signal.signal(signal.SIGTERM, lambda *_: alarms.append(1))
    try:
        assert device.ask("cancel", run="run-1")["state"] == "finished"
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert alarms == []


def test_a_run_goes_on_with_the_plan_it_began_with(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    device.start("run-1", plans)
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    plans.plan["seed"] = 8
    with pytest.raises(Refused, match="began with the plan") as refused:
        device.start("run-1", plans)
    assert refused.value.kind == "plan-invalid"
    assert device.ask("status", run="run-1")["state"] == "stopped"


def test_an_extended_plan_goes_on_with_the_log_of_the_plan_before(device, plans, gate, state_dir, tmp_path):
    opened = tmp_path / "opened"
    plans.add_program("gated", gate.script.replace("read", f"[ -e {opened} ] || read"))
    begun = sha256_of(plans.plan_bytes())
    device.start("run-1", plans)
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    plans.plan["extends"] = [{"number": 1, "plan_sha256": begun, "trials": len(plans.plan["trials"])}]
    plans.plan["trials"].append({"trial": "gated.2", "job": "gated", "kind": "measure", "index": 2})
    opened.touch()
    events = device.execute("run-1", plans)
    assert [event["log_id"] for event in events if event["kind"] == "log-opened"] == [events[0]["log_id"]]
    assert events[0]["plan_sha256"] == begun, "one log, which began with the plan before"
    assert [event["trial"] for event in events if event["kind"] == "trial-finished"] == ["gated.1", "gated.2"]
    assert events[-1]["outcome"] == "complete"
    link = os.readlink(os.path.join(state_dir, "runs", "run-1", "plan.json"))
    assert os.path.basename(link) == sha256_of(plans.plan_bytes()), "the cache keeps the plan of the runner"


def test_a_plan_that_extends_another_plan_than_the_log_has_is_refused(device, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    device.start("run-1", plans)
    gate.wait_for_trial()
    kill_runner(state_dir, "run-1")
    plans.plan["extends"] = [{"number": 1, "plan_sha256": "0" * 64, "trials": 1}]
    with pytest.raises(Refused, match="began with the plan"):
        device.start("run-1", plans)


def test_a_plan_of_another_protocol_is_refused(device, plans, state_dir):
    plans.plan["protocol"] = 2
    with pytest.raises(Refused) as refused:
        device.start("run-1", plans)
    assert refused.value.kind == "protocol-mismatch"
    assert os.listdir(os.path.join(state_dir, "runs")) == []


def test_a_plan_whose_blobs_are_missing_is_refused_with_their_names(device, plans):
    plans.add_program("job")
    plan = plans.plan_bytes()
    with pytest.raises(Refused) as refused:
        device.ask("start", run="run-1", plan_sha256=sha256_of(plan), skip=[])
    assert (refused.value.kind, refused.value.answer["missing"]) == ("blob-missing", [sha256_of(plan)])
    device.upload(plan)
    with pytest.raises(Refused) as refused:
        device.ask("start", run="run-1", plan_sha256=sha256_of(plan), skip=[])
    assert refused.value.answer["missing"] == [sha256_of(blob) for blob in plans.blobs()]


def test_a_runner_that_cannot_begin_says_why(device, plans, state_dir):
    plans.add_program("job")
    device.upload(*plans.blobs(), plans.plan_bytes())
    os.mkdir(os.path.join(state_dir, "lock"))  # opening it for writing fails, even for root
    with pytest.raises(Refused, match="lock") as refused:
        device.start("run-1", plans)
    assert refused.value.kind == "state-dir-unusable"
    assert device.ask("status", run="run-1")["state"] == "unknown"
    assert os.listdir(os.path.join(state_dir, "runs")) == []


def test_a_run_that_is_not_finished_is_not_forgotten(device, plans, gate):
    plans.add_program("gated", gate.script)
    log_id = device.start("run-1", plans)["log_id"]
    gate.wait_for_trial()
    status = device.ask("status", run="run-1")
    assert status["state"] == "running"
    assert device.ask("forget", run="run-1", log_id=log_id, last_seq=status["last_seq"])["forgotten"] is False
    device.ask("cancel", run="run-1")


def test_two_controllers_that_start_one_run_at_once_share_its_runner(device, connect, plans, gate, state_dir):
    plans.add_program("gated", gate.script)
    other = connect()
    plan = plans.plan_bytes()
    device.upload(*plans.blobs(), plan)
    for client in (device, other):
        client.send("start", run="run-1", plan_sha256=sha256_of(plan), skip=[])
    answers = [client.receive() for client in (device, other)]
    assert [answer["state"] for answer in answers] == ["running", "running"]
    assert answers[0]["pid"] == answers[1]["pid"] == runner_of(state_dir, "run-1").pid
    gate.wait_for_trial()
    gate.open()
    events = device.events("run-1", None)
    assert len(trials_of(events, "runner-started")) == 1
    assert other.events("run-1", None) == events


def test_a_run_that_the_device_does_not_know_is_cancelled_already(device, plans, state_dir):
    assert device.ask("cancel", run="run-1") == {"type": "cancel", "state": "unknown"}
    assert not os.path.exists(os.path.join(state_dir, "runs", "run-1"))
    plans.add_program("job", f"#!/bin/sh\n{DONE}")
    assert device.execute("run-1", plans)[-1]["outcome"] == "complete"


def test_a_run_that_has_a_folder_but_no_log_has_nothing_to_cancel(device, plans, state_dir):
    os.makedirs(os.path.join(state_dir, "runs", "run-1"))
    assert device.ask("cancel", run="run-1")["state"] == "unknown"
    assert not os.path.exists(os.path.join(state_dir, "runs", "run-1", "log"))
