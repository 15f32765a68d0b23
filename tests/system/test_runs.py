"""Runs over real SSH, stopped in every way that a lab stops them, and completed."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, Lab
from tests.servers import processes
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

DEVICES = ("pi-01", "pi-02", "pi-03")
WAIT_S = 60.0


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer) -> Lab:
    """Three devices behind one sshd, enrolled."""
    made = Lab(tmp_path)
    made.trust(ssh_server)
    for name in DEVICES:
        made.add_ssh(name, ssh_server, tags={"class": "rpi"})
    return made


@pytest.fixture
def relay(ssh_server: SshServer) -> Iterator[TcpRelay]:
    with TcpRelay(ssh_server.host, ssh_server.port) as opened:
        yield opened


def assert_exactly_once(lab: Lab, trials: int, devices: Sequence[str] = DEVICES) -> None:
    assert {name: lab.counts(name) for name in devices} == {name: [1] * trials for name in devices}


def stepwise(lab: Lab) -> str:
    """Return a program that takes a while, so that a stop falls into the middle of the run."""
    return "sleep 0.3\n" + OK_PROGRAM


def test_three_devices_are_measured_and_the_second_run_ships_nothing(lab: Lab) -> None:
    sweep = lab.write_exec_sweep()
    first = lab.run("run", str(sweep))
    assert first.returncode == 0, first.stderr
    assert_exactly_once(lab, trials=3)
    assert re.search(r"pi-01  upload  \d+\.\d kB\n", first.stderr)
    second = lab.run("run", str(sweep))
    assert second.returncode == 0, second.stderr
    assert "now: " not in second.stderr
    assert " upload " not in second.stderr
    assert [str(left) for name in DEVICES for left in (lab.state_dir(name) / "runs").rglob("*")] == []


def test_select_picks_devices_and_says_so_when_it_picks_none(lab: Lab) -> None:
    sweep = lab.write_exec_sweep()
    assert lab.run("run", str(sweep), "--select", "class=rpi,not pi-02").returncode == 0
    assert {row["device"] for row in lab.rows("SELECT DISTINCT device FROM v_history")} == {"pi-01", "pi-03"}
    none = lab.run("run", str(sweep), "--select", "pj-*")
    assert none.returncode == 2
    assert "pi-01" in none.stderr


def test_a_complete_run_ends_on_a_terminal_with_the_comparison_to_try(lab: Lab) -> None:
    sweep = lab.write_exec_sweep(variants=["fp32", "int8"])
    ours, its = pty.openpty()
    controller = lab.start("run", str(sweep), "--select", "pi-01", stdout=subprocess.DEVNULL, stderr=its)
    os.close(its)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the terminal open any more
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert controller.wait(WAIT_S) == 0
    assert shown.endswith(b"\nnow: benchfleet compare last --by variant --base fp32\r\n")
    assert lab.run("compare", "last", "--by", "variant", "--base", "fp32").returncode == 0


def test_a_controller_killed_in_the_middle_is_resumed_and_every_trial_counts_once(lab: Lab) -> None:
    sweep = lab.write_exec_sweep(stepwise(lab), trials=8)
    controller = lab.start("run", str(sweep))
    lab.wait_for_results(*DEVICES, at_least=5)
    controller.kill()
    controller.wait(WAIT_S)

    resumed = lab.run("runs", "resume", "last")

    assert resumed.returncode == 0, resumed.stderr
    assert_exactly_once(lab, trials=8)
    again = lab.run("runs", "resume", "last")
    assert again.returncode == 0, again.stderr
    assert_exactly_once(lab, trials=8)


def test_ctrl_c_leaves_devices_running_and_follow_picks_them_up(lab: Lab) -> None:
    sweep = lab.write_exec_sweep(stepwise(lab), trials=6)
    controller = lab.start("run", str(sweep), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lab.wait_for_results(*DEVICES, at_least=3)
    controller.send_signal(signal.SIGINT)
    _, errors = controller.communicate(timeout=WAIT_S)
    assert controller.returncode == 3
    assert "benchfleet runs follow" in errors
    assert "Traceback" not in errors

    followed = lab.run("runs", "follow", "last")

    assert followed.returncode == 0, followed.stderr
    assert_exactly_once(lab, trials=6)


def test_a_link_cut_in_the_middle_is_made_again_by_itself(
    tmp_path: Path, ssh_server: SshServer, relay: TcpRelay
) -> None:
    lab = Lab(tmp_path)
    lab.trust(ssh_server, relay.host, relay.port)
    lab.add_ssh("far", ssh_server, host=relay.host, port=relay.port)
    sweep = lab.write_exec_sweep(stepwise(lab), trials=8)
    controller = lab.start("run", str(sweep), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    lab.wait_for_results("far", at_least=2)
    relay.cut()
    relay.restore()
    _, errors = controller.communicate(timeout=WAIT_S)
    assert controller.returncode == 0, errors
    assert_exactly_once(lab, trials=8, devices=["far"])


def test_a_link_that_stays_cut_is_told_and_the_run_is_resumed_once_it_is_back(
    tmp_path: Path, ssh_server: SshServer, relay: TcpRelay
) -> None:
    """Whoever waits gives up, tries again too early, which completes the other device, and then again in time."""
    lab = Lab(tmp_path)
    lab.trust(ssh_server)
    lab.trust(ssh_server, relay.host, relay.port)
    lab.add_ssh("near", ssh_server)
    lab.add_ssh("far", ssh_server, host=relay.host, port=relay.port)
    gated = f"case $BENCHFLEET_TRIAL in *.[12]) ;; *) until [ -e {tmp_path}/gate ]; do sleep 0.1; done ;; esac\n"
    sweep = lab.write_exec_sweep(gated + OK_PROGRAM, trials=4)
    controller = lab.start("run", str(sweep), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        lab.wait_for_results("near", "far", at_least=4)
        relay.cut()
        controller.send_signal(signal.SIGINT)
        _, errors = controller.communicate(timeout=WAIT_S)
    finally:
        controller.kill()
        controller.wait()
    assert controller.returncode == 3, errors
    (tmp_path / "gate").touch()

    early = lab.run("runs", "resume", "last")
    assert early.returncode == 3
    lab.assert_told(early, "near", "complete")
    lab.assert_told(early, "far", "connect", "refuses", "hint")
    assert lab.counts("near") == [1] * 4
    assert sum(lab.counts("far")) == 2

    relay.restore()
    resumed = lab.run("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert_exactly_once(lab, devices=("near", "far"), trials=4)


def test_detached_runs_go_on_and_are_collected_later(lab: Lab) -> None:
    sweep = lab.write_exec_sweep(stepwise(lab), trials=4)
    detached = lab.run("run", str(sweep), "--detach")
    assert detached.returncode == 0, detached.stderr
    assert "runs follow" in detached.stderr
    followed = lab.run("runs", "follow", "last")
    assert followed.returncode == 0, followed.stderr
    assert_exactly_once(lab, trials=4)


def test_cancel_keeps_what_is_finished_and_leaves_no_process(lab: Lab) -> None:
    program = "case $BENCHFLEET_TRIAL in *.1) ;; *) exec sleep 600 ;; esac\n"
    sweep = lab.write_exec_sweep(program + OK_PROGRAM, trials=3, timeouts={"trial_s": 900})
    assert lab.run("run", str(sweep), "--detach").returncode == 0
    controller = lab.start("runs", "follow", "last")
    lab.wait_for_results(*DEVICES, at_least=3)
    controller.send_signal(signal.SIGINT)
    controller.wait(WAIT_S)

    cancelled = lab.run("runs", "cancel", "last")

    assert cancelled.returncode == 0, cancelled.stderr
    assert [count for name in DEVICES for count in lab.counts(name)].count(1) == 3
    assert [lab.processes(name) for name in DEVICES] == [[], [], []]
    listed = lab.json("runs", "list")
    assert listed[0]["state"] == "cancelled"


def test_a_device_that_lost_its_log_is_cancelled(lab: Lab) -> None:
    """One device keeps its runner, of the other everything is gone: both are cancelled."""
    sweep = lab.write_exec_sweep("exec sleep 600\n", timeouts={"trial_s": 900})
    assert lab.run("run", str(sweep), "--detach", "--select", "pi-01 or pi-02").returncode == 0
    processes.kill(lab.processes("pi-02"))
    shutil.rmtree(lab.state_dir("pi-02") / "runs")

    cancelled = lab.run("runs", "cancel", "last")

    assert cancelled.returncode == 0, cancelled.stderr
    for device in ("pi-01", "pi-02"):
        lab.assert_told(cancelled, device, "cancelled")
    assert lab.json("runs", "list")[0]["state"] == "cancelled"
    processes.wait_until(
        lambda: not lab.processes("pi-01") and not lab.processes("pi-02"), "the devices are idle", WAIT_S
    )


def test_a_device_that_cannot_be_reached_is_cancelled_only_if_nothing_can_run_there(
    lab: Lab, ssh_server: SshServer
) -> None:
    gate = lab.directory / "gate"
    lab.add_ssh("never", ssh_server, port=free_port())
    sweep = lab.write_exec_sweep(f"until [ -e {gate} ]; do sleep 0.1; done\n" + OK_PROGRAM)
    assert lab.run("run", str(sweep), "--detach", "--select", "pi-01 or never").returncode == 3
    lab.add_ssh("pi-01", ssh_server, port=free_port())

    cancelled = lab.run("runs", "cancel", "last")

    assert cancelled.returncode == 3
    lab.assert_told(cancelled, "never", "cancelled")
    lab.assert_told(cancelled, "pi-01", "connect", "the run may go on there", "hint", "benchfleet runs cancel")
    lab.add_ssh("pi-01", ssh_server)
    again = lab.run("runs", "cancel", "last")
    assert again.returncode == 0, again.stderr
    assert lab.json("runs", "list")[0]["state"] == "cancelled"


def test_a_cancelled_run_can_be_resumed(lab: Lab) -> None:
    gate = lab.directory / "gate"
    program = f"case $BENCHFLEET_TRIAL in *.1) ;; *) [ -e {gate} ] || exec sleep 600 ;; esac\n" + OK_PROGRAM
    sweep = lab.write_exec_sweep(program, trials=2, timeouts={"trial_s": 900})
    assert lab.run("run", str(sweep), "--detach", "--select", "pi-01").returncode == 0
    assert lab.run("runs", "cancel", "last").returncode == 0
    gate.touch()
    resumed = lab.run("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert_exactly_once(lab, trials=2, devices=["pi-01"])


def test_failed_trials_run_again_only_when_asked(lab: Lab) -> None:
    gate = lab.directory / "fixed"
    sweep = lab.write_exec_sweep(f"[ -e {gate} ] || exit 7\n" + OK_PROGRAM, trials=2)
    failed = lab.run("run", str(sweep), "--select", "pi-01")
    assert failed.returncode == 3
    assert "exit" in failed.stdout
    gate.touch()
    assert lab.run("runs", "resume", "last").returncode == 3
    retried = lab.run("runs", "resume", "last", "--retry-failed")
    assert retried.returncode == 0, retried.stderr + retried.stdout
    assert_exactly_once(lab, trials=2, devices=["pi-01"])


def test_a_complete_run_is_extended_and_an_interrupted_extension_adds_nothing_twice(lab: Lab) -> None:
    gate = lab.directory / "gate"
    program = f"case $BENCHFLEET_TRIAL in *.4) [ -e {gate} ] || exec sleep 600 ;; esac\n" + OK_PROGRAM
    sweep = lab.write_exec_sweep(program, trials=2, timeouts={"trial_s": 900})
    assert lab.run("run", str(sweep)).returncode == 0
    more = ("runs", "resume", "last", "--trials", "+2", "--select", "pi-01 or pi-02")
    controller = lab.start(*more, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    lab.wait_for_results("pi-01", "pi-02", at_least=6)
    controller.send_signal(signal.SIGINT)
    _, errors = controller.communicate(timeout=WAIT_S)
    assert controller.returncode == 3, errors
    gate.touch()
    for name in ("pi-01", "pi-02"):  # a trial that waits is killed with its runner, and runs again
        processes.kill(lab.processes(name))

    again = lab.run(*more)

    assert again.returncode == 0, again.stderr
    lab.assert_told(again, "pi-01", "1 of the trials added earlier", "going on with those, and nothing was added")
    assert_exactly_once(lab, trials=4, devices=["pi-01", "pi-02"])
    assert_exactly_once(lab, trials=2, devices=["pi-03"])
    assert len(lab.json("runs", "list")) == 1, "they count as one run"
    to_five = lab.run("runs", "resume", "last", "--trials", "5")
    assert to_five.returncode == 0, to_five.stderr
    assert_exactly_once(lab, trials=5)


def test_ray_runs_the_same_sessions(lab: Lab) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    sweep = lab.write_exec_sweep()
    done = lab.run("run", str(sweep), "--executor", "ray", timeout_s=150)
    assert done.returncode == 0, done.stderr
    assert_exactly_once(lab, trials=3)


def test_a_run_goes_into_postgresql_and_is_resumed_from_there(lab: Lab, postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database(f"lab_{os.getpid()}")
    sweep = lab.write_exec_sweep(stepwise(lab), trials=4)
    refused = lab.run("run", str(sweep), "--db", url)
    assert refused.returncode == 4
    assert "benchfleet db upgrade" in refused.stderr
    assert postgres_server.password not in refused.stderr
    assert lab.run("db", "upgrade", "--db", url).returncode == 0
    assert lab.run("run", str(sweep), "--db", url, "--detach").returncode == 0
    assert lab.run("runs", "resume", "last", "--db", url).returncode == 0
    (row,) = lab.json("sql", "SELECT count(*) AS n FROM v_history WHERE metric = 'latency_ns'", "--db", url)
    assert row["n"] == 12
