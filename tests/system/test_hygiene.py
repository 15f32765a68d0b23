"""What stays on devices and what does not, over real SSH: processes that are cancelled, caches, folders of runs."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, WAIT_S, Lab
from tests.servers import processes
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

CANCEL_S_MAX = 2.0

ESCAPES = """\
trap '' TERM INT HUP
setsid sh -c 'trap "" TERM INT HUP; echo daemon $$ >> LOG; while :; do sleep 600; done' &
(setsid sh -c '(trap "" TERM INT HUP; echo fork $$ >> LOG; exec sleep 600) & exit' &)
(exec nohup sleep 601 > /dev/null 2>&1 &)
env -i setsid sleep 602 &
echo trial $$ >> LOG
while :; do sleep 600; done
"""
"""A trial that heeds no signal, with a daemon, a double fork, and one that has cleared its environment."""


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer) -> Lab:
    """One device behind an sshd, enrolled."""
    made = Lab(tmp_path)
    made.trust(ssh_server)
    made.add_ssh("pi-01", ssh_server)
    return made


def blobs(lab: Lab, device: str = "pi-01") -> set[str]:
    return {file.name for file in (lab.state_dir(device) / "blobs").iterdir()}


def only_run(lab: Lab, device: str = "pi-01") -> str:
    """Return the one run whose folder is on the device."""
    (folder,) = (lab.state_dir(device) / "runs").iterdir()
    return folder.name


def runner_of(lab: Lab, device: str = "pi-01") -> int:
    (file,) = lab.state_dir(device).glob("runs/*/pid")
    return int(json.loads(file.read_text())["pid"])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.fixture
def hanging(lab: Lab) -> Iterator[list[int]]:
    """A detached run in the midst of its second trial; the processes that the runner and the trial started."""
    log = lab.directory / "started"
    program = f"case $BENCHFLEET_TRIAL in *.1) ;; *) {ESCAPES.replace('LOG', str(log))} esac\n" + OK_PROGRAM
    lab.write_exec_sweep(program, timeouts={"trial_s": 120})
    assert lab.run("run", "sweep.yaml", "--detach").returncode == 0
    kinds = {"daemon", "fork", "trial"}
    processes.wait_until(
        lambda: log.exists() and kinds <= {line.split()[0] for line in log.read_text().splitlines()},
        "the second trial has started its processes",
        WAIT_S,
    )
    runner = runner_of(lab)
    found = [runner, *all_of(lab, runner)]
    yield found
    processes.kill(filter(alive, found))  # of a test that failed


def started(lab: Lab) -> list[int]:
    """Return the trial and its daemon, which told us their numbers; that of the fork is its parent's."""
    lines = [line.split() for line in (lab.directory / "started").read_text().splitlines()]
    return [int(pid) for kind, pid in lines if kind in ("trial", "daemon")]


def all_of(lab: Lab, runner: int) -> list[int]:
    """Return what runs for a device: below its runner, which is the father of those that a trial has left behind."""
    return sorted({*processes.descendants(runner), *lab.processes("pi-01")} - {runner})


def test_a_cancelled_trial_ends_within_two_seconds_and_nothing_of_it_is_left(lab: Lab, hanging: list[int]) -> None:
    """Two seconds from the moment that the device hears of it: watched from outside, while the command runs."""
    runner = hanging[0]
    assert len(hanging) >= 6, "runner, trial, daemon, double fork, nohup and the one without an environment"
    (folder,) = lab.state_dir("pi-01").glob("runs/*")
    command = lab.start("runs", "cancel", "last", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        processes.wait_until((folder / "cancel").exists, "the device has heard of it", WAIT_S)
        heard = time.monotonic()
        processes.wait_until(lambda: not any(map(alive, hanging)), "every process is gone", WAIT_S)
        assert time.monotonic() - heard < CANCEL_S_MAX
        _out, errors = command.communicate(timeout=WAIT_S)
    finally:
        command.kill()
        command.wait()
    assert command.returncode == 0, errors
    assert not alive(runner)
    assert lab.counts("pi-01") == [1, 0, 0], "what was finished is kept"
    assert not folder.exists()
    assert (lab.state_dir("pi-01") / "lock").read_bytes() == b""
    processes.wait_until(lambda: lab.processes("pi-01") == [], "no worker is left either", WAIT_S)


def test_a_busy_device_is_left_alone_and_says_who_is_on_it(lab: Lab, hanging: list[int]) -> None:
    before = blobs(lab)
    done = lab.run("devices", "clean", "pi-01")
    assert done.returncode == 4
    run = only_run(lab)
    assert re.search(f"run {run} of .* is measuring here since", done.stdout)
    assert blobs(lab) == before
    assert alive(hanging[0])
    assert all(map(alive, started(lab)))
    probed = lab.run("devices", "probe")
    assert f"warning: pi-01: run {run} is measuring there since" in probed.stdout
    assert lab.run("runs", "cancel", "last").returncode == 0


def test_what_a_finished_run_leaves_is_cleaned_and_the_next_run_ships_it_again(lab: Lab) -> None:
    lab.write_exec_sweep()
    assert lab.run("run", "sweep.yaml").returncode == 0
    before = blobs(lab)
    assert before
    (would,) = lab.json("devices", "clean", "pi-01", "--dry-run")
    assert blobs(lab) == before
    assert {item["name"] for item in would["removed"]} == before
    (did,) = lab.json("devices", "clean", "--select", "all")
    assert (did["freed_bytes"], did["removed"], did["kept"]) == (would["freed_bytes"], would["removed"], [])
    assert did["freed_bytes"] > 0
    assert blobs(lab) == set()
    assert lab.run("run", "sweep.yaml").returncode == 0
    assert blobs(lab)


def test_a_log_that_the_database_lacks_is_kept_until_a_person_says_otherwise(lab: Lab) -> None:
    """The run was begun with another database, whose controller has not collected it."""
    lab.write_exec_sweep()
    assert lab.run("run", "sweep.yaml", "--detach").returncode == 0
    runs = lab.state_dir("pi-01") / "runs"
    run = only_run(lab)
    log = runs / run / "log"
    processes.wait_until(lambda: b'"run-finished"' in log.read_bytes(), "the run has ended", WAIT_S)
    processes.wait_until(lambda: (runs.parent / "lock").read_bytes() == b"", "its runner too", WAIT_S)
    stranger = ("--db", str(lab.directory / "another.db"))
    kept = lab.run("devices", "clean", "pi-01", *stranger)
    assert kept.returncode == 0
    assert f"kept: pi-01: run {run}: this database does not have its log" in kept.stdout
    assert log.exists()
    assert lab.run("devices", "clean", "pi-01", "--force", *stranger).returncode != 0, "nobody is there to be asked"
    assert log.exists()
    assert lab.run("runs", "follow", "last").returncode == 0
    assert lab.counts("pi-01") == [1, 1, 1]
    assert lab.run("run", "sweep.yaml", "--detach").returncode == 0
    forced = lab.run("devices", "clean", "pi-01", "--force", "--yes", "--runs", *stranger)
    while forced.returncode == 4:  # it still measures
        assert "is measuring here" in forced.stdout
        forced = lab.run("devices", "clean", "pi-01", "--force", "--yes", "--runs", *stranger)
    assert forced.returncode == 0, forced.stderr
    assert list(runs.iterdir()) == []


def test_a_cap_in_the_inventory_lets_the_oldest_files_give_way(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("pi-01", ssh_server, limits={"cache_bytes_max": "1M"})
    for name in ("first", "second"):
        lab.write(f"{name}.bin", name * 150_000)
        program = {"exec": {"name": "shell", "command": ["sh", "p.sh"], "files": ["p.sh", f"{name}.bin"]}}
        lab.write("p.sh", OK_PROGRAM)
        lab.write_exec_sweep(name=name, runtimes=[program])
        assert lab.run("run", f"{name}.yaml").returncode == 0
        sizes = {file.stat().st_size for file in (lab.state_dir("pi-01") / "blobs").iterdir()}
        assert len(name) * 150_000 in sizes
    assert len("first") * 150_000 not in sizes


def test_a_device_beyond_a_limit_is_refused_and_the_others_measure(lab: Lab, ssh_server: SshServer) -> None:
    lab.add_ssh("pi-02", ssh_server, limits={"disk_free_bytes_min": "900T"})
    lab.write_exec_sweep()
    done = lab.run("run", "sweep.yaml")
    assert done.returncode == 3
    lab.assert_told(done, "pi-02", "failed", "disk_free_bytes_min", "devices clean")
    assert (lab.counts("pi-01"), lab.counts("pi-02")) == ([1, 1, 1], [])
    probed = lab.run("devices", "probe")
    assert probed.returncode == 0
    assert "would be refused: pi-02:" in probed.stdout


def test_a_crash_is_told_by_probe_and_by_the_next_run(lab: Lab, hanging: list[int]) -> None:
    """The next run ends what the killed runner left, as far as it bears the mark of that runner."""
    (file,) = lab.state_dir("pi-01").glob("runs/*/pid")
    runner = json.loads(file.read_text())
    marked = processes.with_environment("BENCHFLEET_RUNNER={boot_id}.{pid}.{start_ticks}".format(**runner))
    processes.kill(set(hanging) - set(marked))
    run = only_run(lab)
    shown = lab.run("devices", "probe").stdout
    assert f"warning: pi-01: run {run}, begun there since" in shown
    assert "its runner was killed" in shown
    lab.write_exec_sweep(name="other")
    done = lab.run("run", "other.yaml", "--db", "other.db")  # which knows nothing of the lease that the run has here
    assert done.returncode == 0, done.stderr
    lab.assert_told(done, "pi-01", "warning: run", "its runner was killed", f"hint: benchfleet runs resume {run}")
    assert len(marked) >= 4
    assert not any(map(alive, marked))
    with closing(sqlite3.connect(lab.database)) as database:
        (facts,) = database.execute("SELECT facts FROM device_snapshot ORDER BY id DESC LIMIT 1").fetchone()
    assert '"previous_crash"' in facts
