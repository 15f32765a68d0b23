from __future__ import annotations

import pytest

from orchestrator.reporting.columns import Column, plain_table
from orchestrator.reporting.console import WIDTH_OF_NO_TERMINAL, print_result, stderr_console, stdout_console


def test_results_and_progress_go_to_different_streams(capsys: pytest.CaptureFixture[str]) -> None:
    stdout_console().print("[bold]result :smile:[/bold]")
    stderr_console().print("progress")

    assert capsys.readouterr() == ("[bold]result :smile:[/bold]\n", "progress\n")


def test_a_pipe_is_wide_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert stdout_console().width == WIDTH_OF_NO_TERMINAL

    monkeypatch.setenv("COLUMNS", "90")
    assert stdout_console().width == 90


def test_a_printed_table_has_no_blanks_at_the_ends_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(plain_table([Column("device"), Column("tags")], [["pi-03", "class=rpi"], ["x", None]]))

    assert capsys.readouterr().out == "device  tags\npi-03   class=rpi\nx       –\n"
