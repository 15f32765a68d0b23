"""One measurement per machine, over real SSH: names, users, state folders and databases of one board never overlap.

The board is a played machine: an sshd whose sessions see a boot id of their own. Trials are witnesses themselves: each
writes when it began and ended, by the kernel's one clock.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, Lab
from tests.machines import played_machine
from tests.servers import processes
from tests.servers.sshd import NO_STARTUP_FILES, SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

TRIALS = 4
WAIT_S = 120.0
USER = f"benchfleet-{os.getpid()}"
"""A second user of the board, made for the test and removed after it."""
SYSTEM_PYTHON = Path("/usr/bin/python3")


class Witness:
    """A folder that every user may write to, where trials say when they ran."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.chmod(0o1777)
        self._file = folder / "witness"
        self._file.touch()
        self._file.chmod(0o666)
        self.gate = folder / "gate"

    def program(self, *, waits: bool = False) -> str:
        """Return a trial's program. One that waits goes on once the gate is open."""
        stamp = f"$$ $(cut -d' ' -f1 /proc/uptime) >> {self._file}"
        wait = f"until [ -e {self.gate} ]; do sleep 0.02; done\n" if waits else ""
        return f"echo B {stamp}\n{wait}sleep 0.1\n{OK_PROGRAM}\necho E {stamp}\n"

    def intervals(self) -> list[tuple[float, float]]:
        """Return begin and end of each trial, in seconds since boot, in order."""
        begun: dict[str, float] = {}
        found = []
        for line in self._file.read_text().splitlines():
            kind, pid, uptime_s = line.split()
            if kind == "B":
                begun[pid] = float(uptime_s)
            else:
                found.append((begun.pop(pid), float(uptime_s)))
        return sorted(found)

    def has_begun(self) -> bool:
        return self._file.read_text().startswith("B")

    def assert_no_overlap(self, trials: int) -> None:
        """Check that so many trials ran, and that no two ran at the same time."""
        found = self.intervals()
        assert len(found) == trials
        assert [(one, two) for one, two in itertools.pairwise(found) if two[0] < one[1]] == []


@pytest.fixture
def witness() -> Iterator[Witness]:
    folder = Path(tempfile.mkdtemp(prefix="benchfleet-witness-"))
    yield Witness(folder)
    shutil.rmtree(folder)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SshServer]:
    """A machine of the test's own, reached by SSH."""
    prefix = played_machine(tmp_path / "boot_id")
    with SshServer(tmp_path / "sshd", environment=NO_STARTUP_FILES, prefix=prefix, other_users=(USER,)) as server:
        yield server


def make_lab(folder: Path, board: SshServer, program: str) -> Lab:
    """Return a controller of its own, with a database of its own, and a sweep whose trials are witnesses."""
    made = Lab(folder)
    made.trust(board)
    made.write_exec_sweep(program, trials=TRIALS, variants=["fp32"])
    return made


def run(lab: Lab, *names: str) -> tuple[str, ...]:
    return ("run", "sweep.yaml", "--select", " or ".join(names))


# ---- Names of one run, and of one database


def test_three_names_of_one_board_take_turns_and_the_plan_says_so(
    tmp_path: Path, board: SshServer, witness: Witness
) -> None:
    """By another state folder, and through a jump host: first without facts of any of them, then with."""
    names = ("board", "folder", "behind")
    lab = make_lab(tmp_path / "lab", board, witness.program())
    lab.add_ssh("board", board, exclusive=True)
    lab.add_ssh("folder", board, exclusive=True)
    lab.add_ssh("gate", board, disabled=True)
    lab.add_ssh("behind", board, exclusive=True, jump="gate", state_dir=str(lab.state_dir("board")))
    first = lab.run(*run(lab, *names))
    assert first.returncode == 0, first.stderr
    assert re.search(r"the same machine as \w+, which is in use by run", first.stderr)
    witness.assert_no_overlap(len(names) * TRIALS)

    planned = lab.run("plan", "sweep.yaml", "--select", " or ".join(names))
    assert "one machine, one after the other: board, folder, behind" in planned.stdout.replace("\n", " ")
    again = lab.run(*run(lab, *names))
    assert again.returncode == 0, again.stderr
    witness.assert_no_overlap(2 * len(names) * TRIALS)
    assert [lab.counts(name) for name in names] == [[1] * TRIALS] * 3


def test_two_controllers_of_one_database_wait_for_each_other_under_other_names(
    tmp_path: Path, board: SshServer, witness: Witness
) -> None:
    lab = make_lab(tmp_path / "lab", board, witness.program(waits=True))
    for name in ("one", "two"):
        lab.add_ssh(name, board, exclusive=True)
    assert lab.run("devices", "probe").returncode == 0  # so that the machine of both is known
    first = lab.start(*run(lab, "one"))
    processes.wait_until(witness.has_begun, "a trial has begun", WAIT_S)
    refused = lab.run(*run(lab, "two"))
    assert refused.returncode == 4
    lab.assert_told(refused, "two", "failed: the same machine as one, which is in use by run", "hint: --wait queues")
    second = lab.start(*run(lab, "two"), "--wait")
    said = lab.directory / "said.txt"
    processes.wait_until(lambda: "place 1 in the queue: the same machine as one" in said.read_text(), "queues", WAIT_S)
    witness.gate.touch()
    assert [first.wait(WAIT_S), second.wait(WAIT_S)] == [0, 0]
    witness.assert_no_overlap(2 * TRIALS)


def test_a_machine_in_use_is_listed_and_reserved_under_each_of_its_names(tmp_path: Path, board: SshServer) -> None:
    lab = make_lab(tmp_path / "lab", board, "true")
    for name in ("one", "two"):
        lab.add_ssh(name, board, exclusive=True)
    reserve = ("devices", "reserve", "one", "--for", "1h", "--reason", "bisecting")
    unasked = lab.run(*reserve)
    assert "hint: benchfleet devices probe one; until then other names of its machine stay free" in unasked.stderr
    assert lab.run("devices", "release", "one").returncode == 0

    assert lab.run("devices", "probe").returncode == 0
    reserved = lab.run(*reserve)
    assert reserved.stderr == "one: reserved as two too, the same machine\n"
    listed = {row["name"]: row for row in lab.json("devices", "list")}
    assert [lease["reason"] for lease in listed["one"]["held"]] == ["bisecting"]
    assert (listed["two"]["held"], [lease["device"] for lease in listed["two"]["machine_held"]]) == ([], ["one"])
    table = " ".join(lab.run("devices", "list").stdout.split())
    assert "as one, the same" in table

    again = lab.run("devices", "reserve", "two", "--for", "1h", "--reason", "me too")
    assert again.returncode == 4
    assert "two: the same machine as one, which is reserved by" in again.stderr
    wrong = lab.run("devices", "release", "two")
    assert wrong.returncode == 2
    assert "hint: benchfleet devices release one" in wrong.stderr
    assert lab.run("devices", "release", "one").returncode == 0
    assert lab.run("devices", "list", "--json").stdout.count('"machine_held": []') == 2


# ---- Databases that know nothing of each other


def test_two_state_folders_and_two_databases_never_measure_at_the_same_time(
    tmp_path: Path, board: SshServer, witness: Witness
) -> None:
    labs = [make_lab(tmp_path / name, board, witness.program(waits=True)) for name in ("ann", "bob")]
    for lab in labs:
        lab.add_ssh("board", board, exclusive=True)
    ann, bob = labs
    first = ann.start(*run(ann, "board"))
    processes.wait_until(witness.has_begun, "a trial has begun", WAIT_S)
    refused = bob.run(*run(bob, "board"))
    assert refused.returncode == 4
    who = f"{board.user} (process "
    bob.assert_told(refused, "board", "failed", who, f"state folder {ann.state_dir('board')}) is measuring", "--wait")
    second = bob.start("runs", "resume", "last", "--wait")
    said = bob.directory / "said.txt"
    processes.wait_until(lambda: "is measuring on this machine" in said.read_text(), "bob waits", WAIT_S)
    witness.gate.touch()
    assert [first.wait(WAIT_S), second.wait(WAIT_S)] == [0, 0]
    witness.assert_no_overlap(2 * TRIALS)
    assert ann.counts("board") == bob.counts("board") == [1] * TRIALS


@pytest.fixture
def other_user(board: SshServer) -> Iterator[str]:
    """A second account, which the board's sshd lets in with the same key."""
    if os.geteuid() != 0 or shutil.which("useradd") is None or not SYSTEM_PYTHON.exists():
        pytest.skip("another user can be made by root alone, and needs the system's Python")
    subprocess.run(["useradd", "--create-home", "--password", "*", USER], check=True, capture_output=True)
    try:
        account = pwd.getpwnam(USER)
        ssh = Path(account.pw_dir, ".ssh")
        ssh.mkdir()
        shutil.copy(board.identity_file.with_suffix(".pub"), ssh / "authorized_keys")
        for path in (ssh, ssh / "authorized_keys"):
            os.chown(path, account.pw_uid, account.pw_gid)
        yield USER
    finally:
        processes.kill(_processes_of(account.pw_uid))
        processes.wait_until(lambda: not _processes_of(account.pw_uid), f"the processes of {USER} are gone")
        subprocess.run(["userdel", "--remove", USER], check=True, capture_output=True)


def _processes_of(uid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and entry.stat().st_uid == uid:
                found.append(int(entry.name))
    return found


def test_two_users_of_a_board_never_measure_at_the_same_time(
    tmp_path: Path, board: SshServer, witness: Witness, other_user: str
) -> None:
    labs = [make_lab(tmp_path / name, board, witness.program(waits=True)) for name in ("ann", "bob")]
    ann, bob = labs
    ann.add_ssh("board", board, exclusive=True, user=other_user, state_dir="~/state", python=str(SYSTEM_PYTHON))
    bob.add_ssh("board", board, exclusive=True)
    first = ann.start(*run(ann, "board"))
    processes.wait_until(witness.has_begun, "a trial has begun", WAIT_S)
    refused = bob.run(*run(bob, "board"))
    assert refused.returncode == 4
    bob.assert_told(refused, "board", f"{other_user} (process ", "state folder ~/state) is measuring on this machine")
    second = bob.start("runs", "resume", "last", "--wait")
    said = bob.directory / "said.txt"
    processes.wait_until(lambda: "is measuring on this machine" in said.read_text(), "bob waits", WAIT_S)
    witness.gate.touch()
    assert [first.wait(WAIT_S), second.wait(WAIT_S)] == [0, 0]
    witness.assert_no_overlap(2 * TRIALS)
