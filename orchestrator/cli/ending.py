"""End a command with an exit code."""

from __future__ import annotations

import typer

from orchestrator.domain.errors import ExitCode


def leave(code: ExitCode) -> None:
    """End the command with an exit code other than 0; return for 0."""
    if code is not ExitCode.FINE:
        raise typer.Exit(code)
