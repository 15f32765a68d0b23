"""Print what a command found: for people, or as JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(value: object, as_json: bool, view: Callable[[], RenderableType]) -> None:
    """Print `value` as JSON, or what `view` draws of it; a reader that leaves does not change how the command ends."""
    try:
        _print(value, as_json, view)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(value: object, as_json: bool, view: Callable[[], RenderableType]) -> None:
    if as_json:
        from orchestrator.reporting.plain_data import json_text

        typer.echo(json_text(value))
    else:
        from orchestrator.reporting.console import print_result

        print_result(view())


def leave(code: ExitCode) -> None:
    """End the command with this exit code."""
    if code is not ExitCode.FINE:
        raise typer.Exit(code)
