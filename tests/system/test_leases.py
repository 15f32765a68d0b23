"""Several people and controllers want the same devices, over real SSH: nobody measures beside anybody else."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import OK_PROGRAM, Lab
from tests.servers import processes
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

WAIT_S = 90.0
ANN, BOB = {"LOGNAME": "ann"}, {"LOGNAME": "bob"}
HOST = socket.gethostname()


class Gate:
    """Trials wait at a fifo until it is opened, so that a run goes on for as long as a test wants."""

    def __init__(self, folder: Path) -> None:
        self._fifo = folder / "gate"
        self._began = folder / "began"
        os.mkfifo(self._fifo)

    @property
    def program(self) -> str:
        return f"echo trial >> {self._began}\nread line < {self._fifo}\n{OK_PROGRAM}"

    def wait_for_trial(self) -> None:
        processes.wait_until(self._began.exists, "a trial has begun", WAIT_S)

    def open(self) -> None:
        """Let every trial pass from now on: a fifo that is gone cannot be waited at."""
        with self._fifo.open("r+b", buffering=0) as fifo:
            self._fifo.rename(self._fifo.with_suffix(".open"))
            self._fifo.write_text("go\n")
            fifo.write(b"go\n")


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer) -> Lab:
    """Two devices behind one sshd, enrolled."""
    made = Lab(tmp_path)
    made.trust(ssh_server)
    for name in ("pi-01", "pi-02"):
        made.add_ssh(name, ssh_server)
    return made


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def controllers() -> Iterator[list[subprocess.Popen[str]]]:
    """Commands that go on; what a test leaves of them is ended."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        if one.poll() is None:
            one.kill()
        one.wait()


def start(lab: Lab, as_whom: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a command as somebody; its standard error goes to a file that can be read while it runs."""
    with (lab.directory / f"{as_whom['LOGNAME']}.err").open("w") as heard:
        return subprocess.Popen(
            lab.argv(*arguments),
            cwd=lab.directory,
            env={**lab.environment, **as_whom},
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=heard,
        )


def said(lab: Lab, who: str) -> str:
    return (lab.directory / f"{who}.err").read_text()


def wait_to_hear(lab: Lab, who: str, pattern: str) -> None:
    processes.wait_until(lambda: re.search(pattern, said(lab, who)) is not None, f"{who} hears {pattern}", WAIT_S)


def open_leases(lab: Lab) -> list[dict[str, Any]]:
    return list(lab.rows("SELECT holder, run_id, reason FROM lease WHERE ended_at IS NULL ORDER BY id"))


def test_a_reservation_keeps_others_out_admits_its_holder_and_is_given_back(lab: Lab) -> None:
    sweep = str(lab.write_exec_sweep())
    kept = lab.run("devices", "reserve", "pi-01", "--for", "2h", "--reason", "bisecting", environment=ANN)
    assert kept.returncode == 0, kept.stderr
    assert re.fullmatch(
        rf"pi-01: reserved by ann@{HOST} until .*\d\d:\d\d UTC \(bisecting\); reservation 1\n", kept.stdout
    )
    refused = lab.run("run", sweep, environment=BOB)
    assert refused.returncode == 3
    lab.assert_told(refused, "pi-01", f"failed: reserved by ann@{HOST} until ", "(bisecting)", "hint: --wait queues")
    assert (sum(lab.counts("pi-01")), sum(lab.counts("pi-02"))) == (0, 3)
    (pi_01, pi_02) = lab.json("devices", "list")
    assert [(lease["holder"], lease["reason"]) for lease in pi_01["held"]] == [(f"ann@{HOST}", "bisecting")]
    assert (pi_01["queue"], pi_02["held"]) == (0, [])
    assert lab.run("devices", "release", "pi-01", environment=BOB).returncode == 4
    assert lab.run("run", sweep, "--select", "pi-01", environment=ANN).returncode == 0
    named = lab.run("run", sweep, "--select", "pi-01", "--reservation", "1", environment=BOB)
    assert named.returncode == 0, named.stderr
    assert lab.run("devices", "release", "pi-01", environment=ANN).returncode == 0
    assert lab.run("runs", "resume", "last", environment=BOB).returncode == 0
    assert open_leases(lab) == []


def test_whoever_waits_runs_as_soon_as_the_other_run_is_done(
    lab: Lab, gate: Gate, controllers: list[subprocess.Popen[str]]
) -> None:
    first = start(lab, ANN, "run", str(lab.write_exec_sweep(gate.program, "gated")), "--select", "pi-01")
    controllers.append(first)
    gate.wait_for_trial()
    refused = lab.run("run", str(lab.write_exec_sweep()), "--select", "pi-01", environment=BOB)
    assert refused.returncode == 4
    lab.assert_told(refused, "pi-01", "in use by run ", f" of ann@{HOST} since ")
    second = start(lab, BOB, "run", str(lab.write_exec_sweep()), "--wait")
    controllers.append(second)
    wait_to_hear(lab, "bob", rf"pi-01  wait  place 1 in the queue: in use by run \S+ of ann@{HOST}")
    wait_to_hear(lab, "bob", r"pi-02  complete")
    gate.open()
    assert (first.wait(WAIT_S), second.wait(WAIT_S)) == (0, 0), said(lab, "bob")
    assert open_leases(lab) == []


def test_ctrl_c_while_queueing_leaves_no_row_behind(lab: Lab, controllers: list[subprocess.Popen[str]]) -> None:
    assert lab.run("devices", "reserve", "pi-01", "--for", "1h", "--reason", "x", environment=ANN).returncode == 0
    queued = ("devices", "reserve", "pi-01", "--for", "1h", "--reason", "me too", "--wait")
    for command in (("run", str(lab.write_exec_sweep()), "--select", "pi-01", "--wait"), queued):
        waiting = start(lab, BOB, *command)
        controllers.append(waiting)
        wait_to_hear(lab, "bob", "place 1 in the queue: reserved by ann@")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(WAIT_S) == 3
        assert [row["reason"] for row in open_leases(lab)] == ["x"]


def test_a_stale_controller_is_refused_and_says_who_has_taken_over(
    lab: Lab, gate: Gate, controllers: list[subprocess.Popen[str]]
) -> None:
    short = {"BENCHFLEET_LEASE_S": "3"}
    sweep = str(lab.write_exec_sweep(gate.program, "gated"))
    stale = start(lab, {**ANN, **short}, "run", sweep, "--select", "pi-01")
    controllers.append(stale)
    gate.wait_for_trial()
    stale.send_signal(signal.SIGSTOP)
    fresh = start(lab, {**BOB, **short}, "runs", "resume", "last")
    controllers.append(fresh)
    wait_to_hear(lab, "bob", rf"pi-01  lease  taken over from ann@{HOST} \(pid {stale.pid}\)")
    gate.open()
    assert fresh.wait(WAIT_S) == 0, said(lab, "bob")
    stale.send_signal(signal.SIGCONT)
    assert stale.wait(WAIT_S) == 3, said(lab, "ann")
    assert re.search(rf"run \S+ was taken over by bob@{HOST} \(pid {fresh.pid}\) at \d\d:\d\d UTC", said(lab, "ann"))
    assert "Traceback" not in said(lab, "ann")
    assert lab.counts("pi-01") == [1, 1, 1]
    assert open_leases(lab) == []


def test_a_killed_controllers_lease_expires_and_the_devices_own_lock_tells_of_its_run(
    lab: Lab, gate: Gate, controllers: list[subprocess.Popen[str]]
) -> None:
    killed = start(
        lab,
        {**ANN, "BENCHFLEET_LEASE_S": "3"},
        "run",
        str(lab.write_exec_sweep(gate.program, "gated")),
        "--select",
        "pi-01",
    )
    controllers.append(killed)
    gate.wait_for_trial()
    killed.kill()
    killed.wait()

    def refused_by_the_device() -> bool:
        tried = lab.run("run", str(lab.write_exec_sweep()), "--select", "pi-01", environment=BOB)
        assert tried.returncode == 4
        return f"of ann@{HOST} is measuring here since " in tried.stderr

    processes.wait_until(refused_by_the_device, "the lease has expired and the device refuses", WAIT_S)
    gate.open()
    gated = lab.rows("SELECT id FROM run ORDER BY started_at LIMIT 1")[0]["id"]
    resumed = lab.run("runs", "resume", gated, environment=BOB)
    assert resumed.returncode == 0, resumed.stderr
    assert lab.counts("pi-01", gated) == [1, 1, 1]


def test_two_controllers_with_two_databases_never_measure_at_once(
    lab: Lab, gate: Gate, controllers: list[subprocess.Popen[str]]
) -> None:
    first = start(lab, ANN, "run", str(lab.write_exec_sweep(gate.program, "gated")), "--select", "pi-01")
    controllers.append(first)
    gate.wait_for_trial()
    other = ("--select", "pi-01", "--db", "other.db")
    refused = lab.run("run", str(lab.write_exec_sweep()), *other, environment=BOB)
    assert refused.returncode == 4
    lab.assert_told(
        refused,
        "pi-01",
        f"of ann@{HOST} is measuring here since ",
        " UTC, until about ",
        "hint: wait for it to end (--wait)",
    )
    waiting = start(lab, BOB, "run", str(lab.write_exec_sweep()), "--wait", *other)
    controllers.append(waiting)
    wait_to_hear(lab, "bob", rf"pi-01  wait  run \S+ of ann@{HOST} is measuring here since ")
    gate.open()
    assert (first.wait(WAIT_S), waiting.wait(WAIT_S)) == (0, 0), said(lab, "bob")


def test_a_detached_run_keeps_its_devices_until_about_its_end(lab: Lab, gate: Gate) -> None:
    sweep = str(lab.write_exec_sweep(gate.program, "gated"))
    detached = lab.run("run", sweep, "--select", "pi-01", "--detach", environment=ANN)
    assert detached.returncode == 0, detached.stderr
    refused = lab.run("run", str(lab.write_exec_sweep()), "--select", "pi-01", environment=BOB)
    lab.assert_told(refused, "pi-01", "in use by run ", f" of ann@{HOST}")
    gate.open()
    run = lab.rows("SELECT id FROM run ORDER BY started_at LIMIT 1")[0]["id"]
    followed = lab.run("runs", "follow", run, environment=BOB)
    assert followed.returncode == 0, followed.stderr
    lab.assert_told(followed, "pi-01", f"taken over from ann@{HOST}")
    assert open_leases(lab) == []


def detach(lab: Lab, gate: Gate) -> str:
    """Leave a run of Ann's on pi-01 to itself, in the midst of a trial, and return the run's id."""
    sweep = str(lab.write_exec_sweep(gate.program, "gated"))
    detached = lab.run("run", sweep, "--select", "pi-01", "--detach", environment=ANN)
    assert detached.returncode == 0, detached.stderr
    gate.wait_for_trial()
    return str(lab.rows("SELECT id FROM run ORDER BY started_at LIMIT 1")[0]["id"])


def state_of(lab: Lab, run: str) -> str:
    return str(lab.json("runs", "show", run)["record"]["state"])


def test_a_detached_run_that_has_ended_is_collected_by_the_next_run_on_its_device(lab: Lab, gate: Gate) -> None:
    run = detach(lab, gate)
    listed = lab.run("devices", "list")
    assert "on its own since" in " ".join(listed.stdout.split()), listed.stdout
    gate.open()
    processes.wait_until(lambda: lab.processes("pi-01") == [], "the runner has ended", WAIT_S)
    following = lab.run("run", str(lab.write_exec_sweep()), "--select", "pi-01", environment=BOB)
    assert following.returncode == 0, following.stderr
    lab.assert_told(following, "pi-01", f"run {run} had ended there")
    assert (state_of(lab, run), lab.counts("pi-01", run), open_leases(lab)) == ("complete", [1, 1, 1], [])


def test_a_detached_run_that_has_ended_is_collected_by_a_run_in_the_queue(
    lab: Lab, gate: Gate, controllers: list[subprocess.Popen[str]]
) -> None:
    run = detach(lab, gate)
    sweep = str(lab.write_exec_sweep())
    waiting = lab.start("run", sweep, "--select", "pi-01", "--wait", environment=BOB)
    controllers.append(waiting)
    queued = "SELECT 1 FROM lease WHERE granted_at IS NULL AND ended_at IS NULL"
    processes.wait_until(lambda: bool(lab.rows(queued)), "the second run is in the queue", WAIT_S)
    assert state_of(lab, run) == "active"
    gate.open()
    assert waiting.wait(WAIT_S) == 0
    assert (state_of(lab, run), lab.counts("pi-01", run), open_leases(lab)) == ("complete", [1, 1, 1], [])


def test_a_detached_run_that_has_ended_is_collected_by_a_look_at_the_devices(lab: Lab, gate: Gate) -> None:
    run = detach(lab, gate)
    assert lab.json("devices", "list")[0]["held"][0]["run"] == run
    gate.open()
    processes.wait_until(lambda: lab.json("devices", "list")[0]["held"] == [], "a look has collected the run", WAIT_S)
    assert (state_of(lab, run), lab.counts("pi-01", run), open_leases(lab)) == ("complete", [1, 1, 1], [])
