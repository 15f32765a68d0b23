"""The real command, as people name, find, exclude and delete runs, on both databases."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.lab import Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


class NamingLab(Lab):
    """A lab on one of the databases, with a device that is this machine, in a git repository."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        self.url = url
        self.add_local("desk")
        self.write_exec_sweep(trials=2)
        self.git("init", "--quiet")
        self.git("add", "sweep.yaml", "sweep.sh")
        self.git("commit", "--quiet", "-m", "sweep")

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the lab's database."""
        return self.run(*words, environment={"BENCHFLEET_DB": self.url})

    def told(self, *words: str) -> Any:
        """Return what a command says as JSON."""
        done = self.ask(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def lab(databases: Databases, tmp_path: Path) -> NamingLab:
    return NamingLab(tmp_path, databases.migrated())


def test_a_run_is_named_found_excluded_and_deleted(lab: NamingLab) -> None:
    run = ("run", "sweep.yaml", "--name", "old-sink", "--note", "as bought", "--tag", "branch=main", "--tag", "by=ann")
    assert lab.ask(*run).returncode == 0
    (lab.directory / "sweep.sh").write_text((lab.directory / "sweep.sh").read_text() + "# changed\n")
    assert lab.ask("run", "sweep.yaml", "--name", "new-sink").returncode == 0
    head = lab.git("rev-parse", "HEAD")

    new, old = lab.told("runs", "list")
    assert (old["words"]["name"], old["words"]["note"], old["words"]["tags"]) == (
        *("old-sink", "as bought"),
        {"branch": "main", "by": "ann"},
    )
    assert [one["words"]["commit"] for one in (old, new)] == [
        {"sha": head, "dirty": False},
        {"sha": head, "dirty": True},
    ]
    assert (old["device_names"], old["trials"], old["trials_failed"], old["trials_missing"]) == (["desk"], 2, 0, 0)
    assert "@" in old["words"]["noted_by"]

    assert lab.ask("runs", "tag", "new-sink", "branch=sink", "draft=yes").returncode == 0
    assert lab.ask("runs", "tag", "new-sink", "--remove", "draft").returncode == 0
    noted = lab.told("runs", "note", "new-s", "with the new heat sink")
    assert (noted["run"], noted["words"]["tags"]) == (new["run"], {"branch": "sink"})
    conditions = ("--sweep", "sw*", "--device", "desk", "--model", "digits", "--state", "complete", "--since", "1h")
    assert [one["run"] for one in lab.told("runs", "list", *conditions, "--tag", "branch")] == [new["run"], old["run"]]
    assert [one["run"] for one in lab.told("runs", "list", *conditions, "--tag", "branch=main")] == [old["run"]]
    assert [one["run"] for one in lab.told("runs", "list", "--name", "*-sink", "--limit", "1")] == [new["run"]]
    assert lab.told("runs", "list", "--device", "pi-*") == []
    shown = lab.ask("runs", "show", "old-sink").stdout
    assert all(words in shown for words in ("name: old-sink", "note: as bought", "tags: branch=main", head[:12])), shown
    compared = lab.ask("compare", "new-sink", "--against", "old-sink")
    assert compared.returncode == 0, compared.stderr

    assert lab.ask("runs", "exclude", "new-sink", "--reason", "window open").returncode == 0
    assert [one["run"] for one in lab.told("runs", "list")] == [old["run"]]
    assert "excluded" in lab.ask("runs", "list", "--all").stdout
    assert "window open" in lab.ask("runs", "show", "new-sink").stdout
    assert {row["run"] for row in lab.told("sql", "SELECT run FROM v_latest")} == {old["run"]}
    assert lab.told("runs", "show", "last")["record"]["header"]["run"] == old["run"]
    assert lab.ask("runs", "include", "new-sink").returncode == 0
    assert {row["run"] for row in lab.told("sql", "SELECT run FROM v_latest")} == {new["run"]}

    unanswered = lab.ask("runs", "delete", "new-sink")
    assert (unanswered.returncode, "--yes" in unanswered.stderr) == (2, True), unanswered.stderr
    assert lab.ask("baseline", "pin", "main", "new-sink", "--reason", "release").returncode == 0
    pinned = lab.ask("runs", "delete", "new-sink", "--yes")
    assert (pinned.returncode, "baseline main" in pinned.stderr) == (2, True), pinned.stderr
    assert lab.ask("baseline", "pin", "main", "old-sink", "--reason", "back").returncode == 0
    deletion = lab.told("runs", "delete", "new-sink", "--yes")
    assert (deletion["run"], deletion["name"], deletion["devices"], deletion["trials"]) == (
        new["run"],
        "new-sink",
        1,
        2,
    )
    assert {row["run"] for row in lab.told("sql", "SELECT run FROM v_latest")} == {old["run"]}
    gone = lab.ask("runs", "show", "new-sink")
    assert (gone.returncode, "there is no run 'new-sink'" in gone.stderr) == (2, True), gone.stderr


def test_wrong_words_are_refused_before_anything_happens(lab: NamingLab) -> None:
    for words, said in (
        (("--name", "last"), "cannot name a run"),
        (("--name", "20261128"), "cannot name a run"),
        (("--tag", "branch"), "is no tag"),
        (("--tag", "a=1", "--tag", "a=2"), "given twice"),
        (("--note", " "), "needs a line of text"),
    ):
        done = lab.ask("run", "sweep.yaml", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert lab.told("runs", "list", "--all") == []
    wrong = lab.ask("runs", "list", "--state", "compleet")
    assert (wrong.returncode, "did you mean 'complete'" in wrong.stderr) == (2, True), wrong.stderr


def test_a_run_that_no_device_was_free_for_is_not_last(lab: NamingLab) -> None:
    assert lab.ask("run", "sweep.yaml", "--name", "first").returncode == 0
    assert lab.ask("devices", "quarantine", "desk", "--reason", "loud").returncode == 0
    assert lab.ask("run", "sweep.yaml", "--name", "refused").returncode == 4
    assert lab.told("runs", "list")[0]["words"]["name"] == "refused"
    assert lab.told("runs", "show", "last")["record"]["words"]["name"] == "first"
