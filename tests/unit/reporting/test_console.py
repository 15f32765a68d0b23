from __future__ import annotations

import pytest

from orchestrator.reporting.console import WIDTH_OF_NO_TERMINAL, stderr_console, stdout_console


def test_results_and_progress_go_to_different_streams(capsys: pytest.CaptureFixture[str]) -> None:
    stdout_console().print("[bold]result :smile:[/bold]")
    stderr_console().print("progress")

    assert capsys.readouterr() == ("[bold]result :smile:[/bold]\n", "progress\n")


def test_a_pipe_is_wide_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert stdout_console().width == WIDTH_OF_NO_TERMINAL

    monkeypatch.setenv("COLUMNS", "90")
    assert stdout_console().width == 90
