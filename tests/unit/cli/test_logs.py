"""-v, --quiet and --log-file belong to every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.commands import LEAVES
from tests.unit.cli.conftest import Command


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_takes_them(name: str) -> None:
    options = {option for parameter in LEAVES[name].params for option in parameter.opts}
    assert {"-v", "--verbose", "-q", "--quiet", "--log-file"} <= options


def events(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_command_logs_its_beginning_and_its_end_as_json_lines(command: Command, tmp_path: Path) -> None:
    log = tmp_path / "lab.log"
    assert command("runs", "show", "nothing", "--db", "x.db", "--log-file", str(log)).code == ExitCode.USAGE
    assert command("init", "lab", "--log-file", "lab.log").code == ExitCode.FINE
    began, failed, again, fine = events(log)
    assert (began["event"], began["command"]) == (
        "command_began",
        f"benchfleet runs show nothing --db x.db --log-file {log}",
    )
    assert (failed["event"], failed["level"], failed["exit_code"]) == ("command_ended", "error", ExitCode.USAGE)
    assert "x.db: there is no such database" in str(failed["error"])
    assert (again["event"], fine["exit_code"]) == ("command_began", ExitCode.FINE)


def test_a_log_has_no_password(command: Command, tmp_path: Path) -> None:
    command("runs", "list", "--db", "postgresql://ann:s3cret@127.0.0.1:1/x", "--log-file", "lab.log")
    assert "s3cret" not in (tmp_path / "lab.log").read_text()


def test_a_log_that_cannot_be_written_is_said_before_anything_is_done(command: Command, tmp_path: Path) -> None:
    ended = command("init", "lab", "--log-file", "no/such/folder.log")
    assert ended.code == ExitCode.USAGE
    assert "cannot be written" in ended.err
    assert not (tmp_path / "lab").exists()
