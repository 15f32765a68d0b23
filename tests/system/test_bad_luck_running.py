"""What breaks while devices measure: one run in which each device has a mishap of its own, and then its completion."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests import disks
from tests.lab import OK_PROGRAM, WAIT_S, Lab
from tests.servers import processes
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TRIALS = 5
BEFORE = 2
"""So many results of each device are in the database when its mishap comes, in the midst of the next trial."""

RECONNECTED = ("follower-killed", "sshd-restarted", "silent")
STOPPED = ("runner-killed", "rebooted")
DISK_BYTES = 4 << 20

PROGRAM = """\
device=${PWD#*/devices/}
case $BENCHFLEET_TRIAL in *.[12]) ;; *)
    : > $LAB/waiting-${device%%/*}
    until [ -e $LAB/gate ]; do sleep 0.1; done
    if [ ${device%%/*} = full ]; then
        noise=$(od -An -v -tu4 -w4 -N 200000 /dev/urandom | tr -s ' \\n' ',' | sed 's/^,//; s/,$//')
        echo "{\\"metric\\": \\"noise\\", \\"samples\\": [$noise]}"
    fi
esac
"""
"""The full device has more to tell than its runner reserved room for: what was reserved is always recorded."""


class UnluckyRun:
    """A run whose devices wait at a gate in the midst of their third trial, until everything is broken."""

    def __init__(self, lab: Lab, server: SshServer, stack: ExitStack) -> None:
        self.lab = lab
        self.stderr = ""
        self.exit_code: int | None = None
        self.counts: dict[str, list[int]] = {}
        self._restarted = stack.enter_context(SshServer(lab.directory / "sshd"))
        self._relay = stack.enter_context(TcpRelay(server.host, server.port))
        self._errors = lab.directory / "stderr"
        self._filler = lab.state_dir("full") / "filler"
        lab.trust(server)
        lab.trust(self._restarted)
        lab.trust(server, self._relay.host, self._relay.port)
        for name in ("good", "follower-killed", *STOPPED):
            lab.add_ssh(name, server, recovery={"restarts_max": 0})
        lab.add_ssh("sshd-restarted", self._restarted)
        lab.add_ssh("silent", server, port=self._relay.port)
        if disks.may_mount():
            stack.enter_context(disks.mounted(lab.state_dir("full"), DISK_BYTES))
            lab.add_ssh("full", server)

    def execute(self) -> None:
        """Run to the end, with all mishaps on the way."""
        program = PROGRAM.replace("$LAB", str(self.lab.directory)) + OK_PROGRAM
        self.lab.write_exec_sweep(program, trials=TRIALS, timeouts={"trial_s": 120})
        with self._errors.open("w") as errors:
            controller = self.lab.start("run", "sweep.yaml", stdout=subprocess.DEVNULL, stderr=errors)
        try:
            for device in self.lab.devices:
                self.lab.wait_for_results(device, at_least=BEFORE)
                waiting = self.lab.directory / f"waiting-{device}"
                processes.wait_until(waiting.exists, f"{device} is in its next trial", WAIT_S)
            self._break_everything()
            (self.lab.directory / "gate").touch()
            processes.wait_until(lambda: self._connections("silent") > 1, "the silent link is given up", WAIT_S)
            self._relay.restore()
            self.exit_code = controller.wait(WAIT_S)
        finally:
            controller.kill()
            controller.wait()
        self.stderr = self._errors.read_text()
        self.counts = {device: self.lab.counts(device) for device in self.lab.devices}

    def make_room(self) -> None:
        """Let the full disk take data again."""
        self._filler.unlink(missing_ok=True)

    def _break_everything(self) -> None:
        self._relay.blackhole()
        kept = self._runner("follower-killed")
        processes.kill(set(self.lab.processes("follower-killed")) - {kept, *processes.descendants(kept)})
        processes.kill([self._runner("runner-killed")])
        processes.kill(self.lab.processes("rebooted"))
        self._restarted.stop()
        self._restarted.start()
        if "full" in self.lab.devices:
            disks.fill(self._filler)

    def _runner(self, device: str) -> int:
        (file,) = self.lab.state_dir(device).glob("runs/*/pid")
        return int(json.loads(file.read_text())["pid"])

    def _connections(self, device: str) -> int:
        return sum(line.split()[:2] == [device, "connect"] for line in self._errors.read_text().splitlines())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[UnluckyRun]:
    with ExitStack() as stack:
        made = UnluckyRun(Lab(tmp_path_factory.mktemp("unlucky")), ssh_server, stack)
        made.lab.write("benchfleet.toml", "heartbeat_s = 1\n")
        made.execute()
        yield made


@pytest.fixture(scope="module")
def resumed(run: UnluckyRun) -> subprocess.CompletedProcess[str]:
    """The run's completion, once the disk has room again."""
    run.make_room()
    return run.lab.run("runs", "resume", "last")


def assert_told(run: UnluckyRun, device: str, *words: str) -> None:
    run.lab.assert_told(subprocess.CompletedProcess([], 0, "", run.stderr), device, *words)


def test_the_healthy_device_goes_on_and_the_run_is_incomplete(run: UnluckyRun) -> None:
    assert run.exit_code == 3
    assert "retry_scheduled" not in run.stderr, "a library's own log"
    assert_told(run, "good", "complete", f"{TRIALS} measured")
    assert run.counts["good"] == [1] * TRIALS


@pytest.mark.parametrize("device", RECONNECTED)
def test_a_link_that_breaks_is_made_again_by_itself(run: UnluckyRun, device: str) -> None:
    """The worker that sends the log is killed, sshd restarts, a cable is pulled: the device measures on meanwhile."""
    assert_told(run, device, "complete", f"{TRIALS} measured")
    assert run.counts[device] == [1] * TRIALS


@pytest.mark.parametrize("device", STOPPED)
def test_a_runner_that_is_gone_is_told_with_what_to_do(run: UnluckyRun, device: str) -> None:
    assert_told(run, device, "stopped", "runner", "ended before its plan", "hint", "benchfleet runs resume")
    assert run.counts[device] == [1] * BEFORE + [0] * (TRIALS - BEFORE)


def test_a_disk_that_fills_up_ends_the_log_in_order(run: UnluckyRun) -> None:
    if "full" not in run.lab.devices:
        pytest.skip("only root can mount a small disk")
    assert_told(run, "full", "stopped", "disk is full", "hint", "free some space", "benchfleet runs resume")
    assert sum(run.counts["full"]) < TRIALS


def test_resuming_completes_the_run_and_each_trial_counts_once(
    run: UnluckyRun, resumed: subprocess.CompletedProcess[str]
) -> None:
    assert resumed.returncode == 0, resumed.stderr
    assert {device: run.lab.counts(device) for device in run.lab.devices} == {
        device: [1] * TRIALS for device in run.lab.devices
    }
    with closing(sqlite3.connect(run.lab.database)) as database:
        results = database.execute("SELECT device, count(*) FROM v_history WHERE metric = 'latency_ns' GROUP BY 1")
        assert dict(results) == dict.fromkeys(run.lab.devices, TRIALS)


def test_nothing_is_left_behind_on_the_devices(run: UnluckyRun, resumed: subprocess.CompletedProcess[str]) -> None:
    assert resumed.returncode == 0
    for device in run.lab.devices:
        assert list((run.lab.state_dir(device) / "runs").iterdir()) == []
    processes.wait_until(lambda: not any(map(run.lab.processes, run.lab.devices)), "the devices are idle", WAIT_S)
