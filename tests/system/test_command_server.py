"""A command that is forked is a command like any other: the tests of the whole program rely on that."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.servers.commands import Command, command_server
from tests.servers.processes import children, wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("nonsense",),
        ("sql", "SELECT 'µs' AS unit"),
        ("runs", "list", "--json"),
        ("db", "upgrade"),
        ("run", "nowhere.yaml"),
    ],
    ids=" ".join,
)
def test_streams_and_exit_code_are_those_of_a_process_that_was_started(words: tuple[str, ...], lab: Lab) -> None:
    forked = command_server().run(Command(words, lab.directory, lab.environment), 60)
    lab.database.unlink(missing_ok=True)
    started = subprocess.run(
        lab.argv(*words), cwd=lab.directory, env=lab.environment, capture_output=True, text=True, check=False
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    assert started.stdout + started.stderr


def test_no_command_finds_what_another_one_was_given(lab: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    assert lab.run("db", "upgrade", environment={"BENCHFLEET_DB": str(other)}).returncode == 0
    assert (other.exists(), lab.database.exists()) == (True, False)
    assert lab.run("db", "upgrade").returncode == 0
    assert lab.database.exists()


def test_a_command_that_takes_too_long_is_killed(lab: Lab) -> None:
    server = command_server()
    assert lab.run("db", "upgrade").returncode == 0
    with pytest.raises(subprocess.TimeoutExpired):
        server.run(Command(["serve", "--port", "0"], lab.directory, lab.environment), 0.0)
    wait_until(lambda: children(server.pid) == [], "the command is gone")
    assert server.run(Command(["--version"], lab.directory, lab.environment), 60).returncode == 0


def test_what_is_read_at_the_start_of_a_process_is_not_for_a_fork(lab: Lab) -> None:
    assert command_server().fits({**lab.environment, "PYTHONBREAKPOINT": "ray.util.rpdb.set_trace"})
    assert not command_server().fits({**lab.environment, "PYTHONIOENCODING": "ascii"})
