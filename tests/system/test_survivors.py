"""A program under sudo that outlives its trial, on a device whose user is not root, over real SSH."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, Lab
from tests.servers import processes
from tests.servers.sshd import SshServer
from tests.worker import unprivileged

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def home() -> Iterator[unprivileged.Home]:
    """The home of an ordinary user; the test is skipped where there cannot be one."""
    yield from unprivileged.make_home()  # type: ignore[no-untyped-call]


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer, home: unprivileged.Home) -> Lab:
    """A device whose worker runs as an ordinary user: its Python is a script that gives up root."""
    python = Path(home.path, "python")
    python.write_text(f'#!/bin/sh\nexec {shlex.join([*unprivileged.AS_NOBODY, home.python])} "$@"\n')
    python.chmod(0o755)
    made = Lab(tmp_path)
    made.trust(ssh_server)
    recovery = {"reboot": ["sh", "-c", f"touch {home.path}/rebooted"], "boot_s_max": 2}
    made.add_ssh("pi-01", ssh_server, python=str(python), state_dir=home.state_dir)
    made.add_ssh("pi-02", ssh_server, python=str(python), state_dir=home.state_dir + "-2", recovery=recovery)
    return made


def program(home: unprivileged.Home) -> str:
    """Return trials of which the first to come leaves a process of root, and the others are good."""
    sleep = home.as_root(f"sh -c 'echo $$ > {home.path}/pid; exec sleep 600'")  # type: ignore[no-untyped-call]
    return f"mkdir {home.path}/first 2>/dev/null && exec {sleep}\n{OK_PROGRAM}"


def end_survivor(home: unprivileged.Home) -> None:
    path = Path(home.path, "pid")
    if not path.exists():
        return
    pid = int(path.read_text())
    os.kill(pid, signal.SIGKILL)
    processes.wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the survivor is gone", 10)


def test_nothing_is_measured_beside_a_survivor_and_the_process_is_named(lab: Lab, home: unprivileged.Home) -> None:
    lab.write_exec_sweep(program(home), timeouts={"trial_s": 3})
    try:
        done = lab.run("run", "sweep.yaml", "--select", "pi-01")
        assert done.returncode == 3, done.stderr
        pid = int(Path(home.path, "pid").read_text())
        named = f"process {pid} of root (sleep 600)"
        lab.assert_told(done, "pi-01", "stopped", named, f"sudo kill -KILL {pid}", "benchfleet runs resume")
        assert sum(lab.counts("pi-01")) == 0
        (part,) = lab.json("runs", "show", "last")["record"]["devices"]
        assert part["state"] == "stopped"
        assert named in part["error"]
        assert f"sudo kill -KILL {pid}" in part["hint"]
        failures = lab.rows("SELECT failure_message FROM attempt WHERE failure_kind = 'timeout'")
        assert [named in row["failure_message"] for row in failures] == [True]
        probed = lab.run("devices", "probe", "--select", "pi-01")
        assert f"{named}, left by a trial, still runs there" in " ".join(probed.stdout.split())
        again = lab.run("runs", "resume", "last")
        assert again.returncode == 3
        lab.assert_told(again, "pi-01", named)
    finally:
        end_survivor(home)
    done = lab.run("runs", "resume", "last")
    assert sum(lab.counts("pi-01")) == 2, done.stderr


def test_a_device_that_may_be_rebooted_is_rebooted_for_a_survivor(lab: Lab, home: unprivileged.Home) -> None:
    lab.write_exec_sweep(program(home), timeouts={"trial_s": 3})
    try:
        lab.run("run", "sweep.yaml", "--select", "pi-02")
        assert Path(home.path, "rebooted").exists()
        climbed = lab.rows("SELECT rung, reason FROM recovery_event ORDER BY id")
        assert [row["rung"] for row in climbed][:2] == ["restart", "reboot"]
        assert all("of root (sleep 600)" in row["reason"] for row in climbed[:2])
    finally:
        end_survivor(home)
