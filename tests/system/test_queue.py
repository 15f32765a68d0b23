"""The real commands of the queue: submissions, daemons that are killed, and contents that outlive their files."""

from __future__ import annotations

import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.domain.submission import Submission
from orchestrator.store.store import Reader, open_reader, open_store
from tests.databases import Databases, SqliteDatabases
from tests.lab import OK_PROGRAM, Lab
from tests.servers.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
FAST = {"BENCHFLEET_LEASE_S": "3"}
"""The shortest lease: the death of a daemon is noticed within it."""


class QueueLab(Lab):
    """A lab with a database of either kind, and a device that is this machine."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        self.url = url
        self.add_local("desk", exclusive=False)

    @property
    def environment(self) -> dict[str, str]:
        own = str(self.directory / "cache")
        return {**super().environment, **FAST, "BENCHFLEET_DB": self.url, "BENCHFLEET_CACHE_DIR": own}

    def states(self) -> dict[str, str]:
        """Return by sweep the state of the submission, or the error."""
        with open_reader(self.url) as reader:
            return {one.sweep: one.error or one.state.value for one in self._submissions(reader)}

    def claims(self) -> dict[str, int]:
        """Return by sweep how often the submission was claimed."""
        with open_reader(self.url) as reader:
            return {one.sweep: one.claim for one in self._submissions(reader)}

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Return what a statement finds, without the time that a command takes."""
        with open_reader(self.url) as reader, reader.database.read() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

    def counted(self) -> dict[str, list[int]]:
        """Return by sweep how many attempts count for each measure trial."""
        found: dict[str, list[int]] = {}
        for row in self.rows(
            "SELECT s.name AS sweep, COALESCE(SUM(CASE WHEN a.counted THEN 1 ELSE 0 END), 0) AS counted FROM trial t"
            " JOIN run_device d ON d.id = t.run_device_id JOIN run r ON r.id = d.run_id"
            " JOIN sweep s ON s.id = r.sweep_id"
            " LEFT JOIN attempt a ON a.trial_id = t.id WHERE t.kind = 'measure' GROUP BY s.name, t.id ORDER BY t.id"
        ):
            found.setdefault(row["sweep"], []).append(row["counted"])
        return found

    @staticmethod
    def _submissions(reader: Reader) -> list[Submission]:
        return [*reader.submissions.open_submissions(), *reader.submissions.newest_over(20)]


@pytest.fixture
def lab(databases: Databases, tmp_path: Path) -> QueueLab:
    return QueueLab(tmp_path / "lab", databases.migrated())


@pytest.fixture
def file_lab(sqlite_databases: SqliteDatabases, tmp_path: Path) -> QueueLab:
    """What does not depend on the kind of database is tried on one."""
    return QueueLab(tmp_path / "lab", sqlite_databases.migrated())


def test_a_daemon_is_killed_and_another_one_completes_the_queue(lab: QueueLab, tmp_path: Path) -> None:
    """Each run once, each trial once, on a machine that has nothing of the submitter's but the database."""
    gate = tmp_path / "gate"
    waiting = f"while [ ! -e {gate} ]; do sleep 0.05; done\n{OK_PROGRAM}"
    for name, program in (("one", waiting), ("two", OK_PROGRAM), ("three", OK_PROGRAM)):
        lab.write_exec_sweep(program, name, trials=2, variants=["fp32"])
        done = lab.run("submit", f"{name}.yaml", "--name", name)
        assert done.returncode == 0, done.stderr
    # The submitter's files are gone, and so is what the submitter's cache kept.
    for name in ("one", "two", "three"):
        (lab.directory / f"{name}.yaml").unlink()
        (lab.directory / f"{name}.sh").unlink()
    shutil.rmtree(lab.directory / "cache")
    assert lab.states() == dict.fromkeys(("one", "two", "three"), "waiting")

    first = lab.start("daemon")
    try:
        wait_until(lambda: bool(lab.rows("SELECT id FROM attempt")), "a trial of the first run has begun", 120)
        assert lab.states()["one"] == "running"
        second = lab.start("daemon", "--drain")
        try:
            first.send_signal(signal.SIGKILL)
            first.wait(30)
            gate.touch()
            assert second.wait(120) == 0, (lab.directory / "said.txt").read_text()
        finally:
            second.kill()
            second.wait(30)
    finally:
        first.kill()
        first.wait(30)
    assert lab.states() == dict.fromkeys(("one", "two", "three"), "ended")
    assert lab.counted() == {"one": [1, 1], "two": [1, 1], "three": [1, 1]}
    assert lab.claims() == {"one": 2, "two": 1, "three": 1}, "the run of the dead daemon was claimed again, no other"


def test_a_daemon_that_is_stopped_leaves_the_run_to_the_next(file_lab: QueueLab, tmp_path: Path) -> None:
    lab = file_lab
    gate = tmp_path / "gate"
    lab.write_exec_sweep(f"while [ ! -e {gate} ]; do sleep 0.05; done\n{OK_PROGRAM}", "one", trials=2)
    assert lab.run("submit", "one.yaml").returncode == 0
    first = lab.start("daemon")
    wait_until(lambda: bool(lab.rows("SELECT id FROM attempt")), "a trial has begun", 120)
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 0, "a service that was asked to end has not failed"
    assert lab.states() == {"one": "waiting"}
    gate.touch()
    done = lab.run("daemon", "--once")
    assert done.returncode == 0, done.stderr
    assert (lab.states(), lab.counted()) == ({"one": "ended"}, {"one": [1, 1]})


def test_a_person_cancels_what_runs_and_what_waits(file_lab: QueueLab, tmp_path: Path) -> None:
    lab = file_lab
    never = tmp_path / "never"
    lab.write_exec_sweep(f"while [ ! -e {never} ]; do sleep 0.05; done\n{OK_PROGRAM}", "one", trials=2)
    lab.write_exec_sweep(name="two", trials=1)
    for name in ("one", "two"):
        assert lab.run("submit", f"{name}.yaml", "--name", name).returncode == 0
    daemon = lab.start("daemon", "--drain")
    try:
        wait_until(lambda: bool(lab.rows("SELECT id FROM attempt")), "a trial has begun", 120)
        assert lab.json("queue", "cancel", "two")["state"] == "cancelled"
        assert lab.json("queue", "cancel", "one")["state"] == "running"
        assert daemon.wait(120) == 0, (lab.directory / "said.txt").read_text()
    finally:
        daemon.kill()
        daemon.wait(30)
    assert {name: words.partition(" ")[0] for name, words in lab.states().items()} == {
        "one": "cancelled",
        "two": "cancelled",
    }
    assert lab.rows("SELECT state FROM run_device") == [{"state": "cancelled"}]


def test_a_daemon_fires_schedules_also_while_a_run_goes_on(file_lab: QueueLab, tmp_path: Path) -> None:
    lab = file_lab
    gate = tmp_path / "gate"
    lab.write_exec_sweep(f"while [ ! -e {gate} ]; do sleep 0.05; done\n{OK_PROGRAM}", "one", trials=1)
    lab.write_exec_sweep(name="two", trials=1)
    assert lab.run("submit", "one.yaml").returncode == 0
    daemon = lab.start("daemon", "--drain")
    try:
        wait_until(lambda: bool(lab.rows("SELECT id FROM attempt")), "a trial has begun", 120)
        made = lab.json("schedule", "add", "two.yaml", "--cron", "0 2 29 2 *", "--zone", "UTC", "--name", "leap")
        assert (made["name"], made["last"], made["due_at"][4:]) == ("leap", None, "-02-29T02:00:00Z")
        with open_store(lab.url) as store, store.database.write() as connection:
            # The next leap year is not waited for.
            connection.execute(text("UPDATE schedule SET fires_at = added_at"))
        wait_until(lambda: "two" in lab.states(), "the schedule has fired", 60)
        assert lab.states() == {"one": "running", "two": "waiting"}
        gate.touch()
        assert daemon.wait(120) == 0, (lab.directory / "said.txt").read_text()
    finally:
        daemon.kill()
        daemon.wait(30)
    assert (lab.states(), lab.counted()) == ({"one": "ended", "two": "ended"}, {"one": [1], "two": [1]})
    (fired,) = lab.json("schedule", "list")
    assert lab.rows("SELECT id FROM run WHERE name = 'leap'") == [{"id": fired["last"]}]
    assert fired["due_at"] == made["due_at"]


def test_a_daemon_keeps_to_its_windows(file_lab: QueueLab) -> None:
    """One window is open for twelve hours, the other for the other twelve, and a third is not ours."""
    lab = file_lab
    now = datetime.now(UTC)
    open_now, closed = (
        f"{now + timedelta(hours=hours):%H:00}-{now + timedelta(hours=hours + 12):%H:00}" for hours in (-6, 6)
    )
    lab.write(
        "benchfleet.toml",
        f'[windows]\nnow = {{ hours = "{open_now}", zone = "UTC" }}\nlater = {{ hours = "{closed}", zone = "UTC" }}\n'
        f'theirs = {{ hours = "{open_now}", zone = "UTC", users = ["nobody-else"], select = "kept" }}\n',
    )
    lab.add_local("kept", exclusive=False)
    lab.write_exec_sweep(name="one", trials=1)
    for name, *flags in (("a", "--window", "now"), ("b", "--window", "later"), ("c", "--window", "mine"), ("d",)):
        device = "kept" if name == "d" else "desk"
        assert lab.run("submit", "one.yaml", "--name", name, "--select", device, *flags).returncode == 0
    done = lab.run("daemon", "--drain")
    assert done.returncode == 0, done.stderr
    daemon = lab.start("daemon")
    try:
        wait_until(
            lambda: bool(lab.rows("SELECT id FROM daemon WHERE ended_at IS NULL")), "a daemon has told its windows", 60
        )
        found = lab.json("queue", "list", "--over", "5")
    finally:
        daemon.kill()
        daemon.wait(30)
    why = {entry["submission"]["name"]: entry["reason"] or entry["submission"]["state"] for entry in found["entries"]}
    assert why["a"] == "ended"
    assert why["b"].startswith("waits for window later, opens ")
    assert why["c"] == "no running daemon knows the window mine (known: later, now, theirs)"
    assert why["d"].startswith("kept is kept for nobody-else until ")
    begins = {entry["submission"]["name"]: entry["begins_at"] for entry in found["entries"]}
    assert datetime.fromisoformat(begins["b"]) > now + timedelta(hours=4)
    assert begins["c"] is None
    assert [window["name"] for window in found["daemons"][0]["windows"]] == ["now", "later", "theirs"]


GATED = """\
number=$(ls {folder} | grep -c started)
touch {folder}/started-$number
while [ ! -e {folder}/gate-$number ]; do sleep 0.05; done
"""


def test_an_urgent_run_gets_the_next_boundary_between_two_trials(file_lab: QueueLab, tmp_path: Path) -> None:
    """The patient run's first trial ends as usual, the urgent run comes, and then the rest: each trial once."""
    lab = file_lab
    folder = tmp_path / "gates"
    folder.mkdir()
    lab.write_exec_sweep(GATED.format(folder=folder) + OK_PROGRAM, "patient", trials=2, preemptible=True)
    lab.write_exec_sweep(name="urgent", trials=1)
    assert lab.run("submit", "patient.yaml").returncode == 0
    daemon = lab.start("daemon", "--drain")
    try:
        wait_until((folder / "started-0").exists, "the first trial of the patient run has begun", 120)
        assert lab.run("submit", "urgent.yaml", "--priority", "5").returncode == 0
        wait_until(lambda: any(lab.directory.rglob("cancel")), "the device has been told to stop", 60)
        assert lab.states()["patient"] == next(
            f"gave way to {row['run_id']}" for row in lab.rows("SELECT run_id FROM submission WHERE sweep = 'urgent'")
        )
        for number in range(9):
            (folder / f"gate-{number}").touch()
        assert daemon.wait(180) == 0, (lab.directory / "said.txt").read_text()
    finally:
        daemon.kill()
        daemon.wait(30)
    assert lab.rows("SELECT sweep, state, error FROM submission ORDER BY id") == [
        {"sweep": "patient", "state": "ended", "error": None},
        {"sweep": "urgent", "state": "ended", "error": None},
    ]
    assert lab.counted() == {"patient": [1, 1], "urgent": [1]}
    told = lab.rows(
        "SELECT s.name AS sweep, a.outcome FROM attempt a JOIN trial t ON t.id = a.trial_id JOIN run_device d"
        " ON d.id = t.run_device_id JOIN run r ON r.id = d.run_id JOIN sweep s ON s.id = r.sweep_id ORDER BY a.id"
    )
    assert [row["sweep"] for row in told] == ["patient", "urgent", "patient"]
    assert {row["outcome"] for row in told} == {"ok"}, "no trial was broken off"


def test_a_daemon_is_killed_while_its_run_gives_way(file_lab: QueueLab, tmp_path: Path) -> None:
    """The device stops by itself at the boundary, and the next daemon knows that the run is to go on."""
    lab = file_lab
    folder = tmp_path / "gates"
    folder.mkdir()
    lab.write_exec_sweep(GATED.format(folder=folder) + OK_PROGRAM, "patient", trials=2, preemptible=True)
    lab.write_exec_sweep(name="urgent", trials=1)
    assert lab.run("submit", "patient.yaml").returncode == 0
    daemon = lab.start("daemon")
    try:
        wait_until((folder / "started-0").exists, "the first trial of the patient run has begun", 120)
        assert lab.run("submit", "urgent.yaml", "--priority", "5").returncode == 0
        wait_until(lambda: any(lab.directory.rglob("cancel")), "the device has been told to stop", 60)
    finally:
        daemon.kill()
        daemon.wait(30)
    for number in range(9):
        (folder / f"gate-{number}").touch()
    done = lab.run("daemon", "--drain", timeout_s=180)
    assert done.returncode == 0, done.stderr
    assert lab.states() == {"patient": "ended", "urgent": "ended"}
    assert lab.counted() == {"patient": [1, 1], "urgent": [1]}
