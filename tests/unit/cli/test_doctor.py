"""`doctor` of installations that are really broken, each in one place."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.bootstrap import Wiring
from orchestrator.domain.checkup import Finding, Health
from orchestrator.domain.errors import ExitCode
from orchestrator.services.doctor.checkup import DoctorRequest, check
from orchestrator.settings import load_settings
from tests.databases import Databases
from tests.unit.cli.conftest import Command, Ended
from tests.unit.cli.processes import REPOSITORY

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

LOCAL = "devices:\n  desk: {transport: local}\n"


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a lab in which nothing is wrong."""
    monkeypatch.delenv("BENCHFLEET_MODELS", raising=False)
    (tmp_path / "home" / ".ssh").mkdir(parents=True, mode=0o700)
    (tmp_path / "benchfleet.toml").write_text("heartbeat_s = 10\n")
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "lab.yaml").write_text(LOCAL)
    assert command("db", "upgrade").code == ExitCode.FINE
    return tmp_path


def wrong(ended: Ended) -> list[tuple[str, str, str]]:
    """Return what is wrong as part, words and remedy."""
    findings = json.loads(ended.out)["findings"]
    found = [one for one in findings if one["health"] == "wrong"]
    assert ended.code == (ExitCode.INFRASTRUCTURE if found else ExitCode.FINE), ended.err
    return [(one["part"], one["words"], one["remedy"]) for one in found]


def told(command: Command, *words: str) -> tuple[str, str, str]:
    (only,) = wrong(command("doctor", "--json", *words))
    return only


def test_nothing_is_wrong_with_a_new_lab(command: Command) -> None:
    ended = command("doctor")
    assert ended.code == ExitCode.FINE, ended.out
    assert not any(line.startswith("wrong") for line in ended.out.splitlines())
    parts = {line.split()[1].rstrip(":") for line in ended.out.splitlines()}
    assert parts == {"python", "packages", "settings", "inventory", "keys", "room", "database"}


def test_settings_and_inventory_are_told_with_their_line(command: Command, lab: Path) -> None:
    (lab / "benchfleet.toml").write_text("hearbeat_s = 10\n")
    assert told(command) == (
        "settings",
        "benchfleet.toml:1: unknown setting 'hearbeat_s'",
        "did you mean 'heartbeat_s'?",
    )
    (lab / "benchfleet.toml").write_text("")
    (lab / "benchfleet.toml").chmod(0o666)
    part, words, remedy = told(command)
    assert (part, words) == ("settings", "benchfleet.toml: others may write it (0666)")
    subprocess.run(remedy, shell=True, check=True)
    assert wrong(command("doctor", "--json")) == []
    (lab / "inventory" / "lab.yaml").write_text("devices:\n  desk: {transprt: local}\n")
    part, words, _ = told(command)
    assert (part, words.split(":")[0:2]) == ("inventory", ["inventory/lab.yaml", "2"])


def test_keys_and_known_hosts_that_others_may_use_are_told(command: Command, lab: Path) -> None:
    key, known = lab / "home" / ".ssh" / "id_ed25519", lab / "home" / ".config" / "benchfleet" / "known_hosts"
    key.write_text("secret")
    key.with_suffix(".pub").write_text("public")
    key.chmod(0o644)
    key.with_suffix(".pub").chmod(0o644)
    known.parent.mkdir(parents=True)
    known.write_text("")
    known.chmod(0o646)
    (lab / "inventory" / "more.yaml").write_text(f"devices:\n  pi: {{host: pi, identity_file: {lab}/gone}}\n")
    found = wrong(command("doctor", "--json"))
    assert [(part, words) for part, words, _ in found] == [
        ("known hosts", f"{known}: others may write it (0646)"),
        ("keys", f"{lab}/gone: there is no such key; pi names it"),
        ("keys", f"{key}: others may use it (0644)"),
    ]
    for _, _, remedy in (found[0], found[2]):
        subprocess.run(remedy, shell=True, check=True)
    assert [words for _, words, _ in wrong(command("doctor", "--json"))] == [found[1][1]]


def test_databases_that_are_no_databases_or_of_another_release_are_told(command: Command, lab: Path) -> None:
    file = lab / "benchfleet.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    part, words, remedy = told(command)
    assert (part, remedy) == ("database", "benchfleet db upgrade")
    assert "revision 0003, and this release wants " in words
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "is of a newer release than this" in told(command)[1]
    file.write_text("no database at all " * 100)
    assert told(command)[0] == "database"
    out_of_reach = told(command, "--db", "postgresql://lab@127.0.0.1:1/lab")
    assert out_of_reach[0] == "database"
    assert "127.0.0.1" in out_of_reach[1]


def test_a_clock_that_is_off_and_a_database_without_tables(databases: Databases, lab: Path, command: Command) -> None:
    empty = command("doctor", "--json", "--db", databases.empty())
    parts = [one["part"] for one in json.loads(empty.out)["findings"] if one["health"] != "fine"]
    assert parts == ["database"]
    settings = load_settings({"db": databases.migrated()})

    def clock(off_s: float) -> list[Finding]:
        request = DoctorRequest(now=lambda: datetime.now(UTC) + timedelta(seconds=off_s))
        with Wiring(settings) as wiring:
            found = check(request, lambda: settings, lambda _: wiring).findings
        return [one for one in found if one.part == "clock"]

    assert [one.health for one in clock(0.0)] in ([], [Health.FINE])
    for off_s in (60.0, -60.0):
        (found,) = clock(off_s)
        assert found.health is Health.WRONG
        assert found.words.startswith("this machine's clock and the database's differ by 60 s")


def test_a_disk_without_room_is_told(lab: Path) -> None:
    (lab / "small").mkdir()
    script = f"mount -t tmpfs -o size=4m none {lab}/small && exec {sys.executable} -m orchestrator doctor --json"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        cwd=lab,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "BENCHFLEET_CACHE_DIR": f"{lab}/small/cache"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip("this machine lets nobody mount a small disk")
    ((part, words, remedy),) = wrong(Ended(done.returncode, done.stdout, done.stderr))
    assert (part, words) == ("room", f"cache: {lab}/small has 4 MB left")
    assert remedy.startswith("remove ")


def test_packages_that_are_missing_or_old_are_told(lab: Path) -> None:
    """By the metadata of an installation, as pip leaves it when a requirement is removed afterwards."""
    metadata = lab / "site" / "benchfleet-9.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(
        "Metadata-Version: 2.1\nName: benchfleet\nVersion: 9.9\nRequires-Dist: sqlalchemy<1.4,>=1.3\n"
        "Requires-Dist: rich>=10\nRequires-Dist: nowhere-to-be-found>=1; extra == 'ray'\n"
        "Requires-Dist: nowhere-else; extra == 'web'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "doctor", "--json", "--executor", "ray"],
        cwd=lab,
        env={**os.environ, "PYTHONPATH": f"{lab}/site:{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = wrong(Ended(done.returncode, done.stdout, done.stderr))
    assert [part for part, _, _ in found] == ["packages", "packages"]
    assert found[0][1].endswith(" is installed, and <1.4,>=1.3 is needed")
    assert found[0][2] == "pip install --upgrade benchfleet"
    assert found[1][1:] == (
        "nowhere-to-be-found is not installed: the extra ray needs it",
        'pip install --upgrade "benchfleet[ray]"',
    )


def test_devices_are_asked_where_that_is_wanted(command: Command, lab: Path) -> None:
    declared = f"{LOCAL}  pi: {{host: 127.0.0.1, port: 1, user: lab}}\n"
    (lab / "inventory" / "lab.yaml").write_text(declared)
    assert wrong(command("doctor", "--json")) == []
    ended = command("doctor", "--devices", "--json")
    ((part, words, remedy),) = wrong(ended)
    assert part == "devices"
    assert words.startswith("pi: connect: ")
    assert remedy
    assert "desk answers" in ended.out
    assert wrong(command("doctor", "--devices", "--select", "desk", "--json")) == []
