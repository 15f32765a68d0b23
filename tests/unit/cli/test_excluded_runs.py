"""Where every run is excluded, nothing says that there is none."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command
from tests.unit.cli.measured_runs import measure


def test_excluded_runs_are_named_where_nothing_else_is_there(command: Command, tmp_path: Path) -> None:
    measure(tmp_path / "benchfleet.db", {"fp32": (1000, 1000)}, "one")
    excluded = command("runs", "exclude", "one", "--reason", "the fan was off")
    assert (excluded.code, "benchfleet runs include one" in excluded.err) == (ExitCode.FINE, True)

    for narrowed in ((), ("--since", "2020-01-01")):
        listed = command("runs", "list", *narrowed)
        assert (listed.out, "benchfleet runs list --all" in listed.err) == ("", True)
    assert "no run matches" in command("runs", "list", "--sweep", "other").err
    shown = command("runs", "show", "last")
    assert shown.code == ExitCode.USAGE
    assert "no run that had a device and is not excluded" in shown.err
    assert "benchfleet runs list --all" in shown.err
