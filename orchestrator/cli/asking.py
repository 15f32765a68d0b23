"""Ask a person a question on standard error."""

from __future__ import annotations

import sys

import typer

from orchestrator.domain.errors import ConfigError


def confirmed(question: str) -> bool:
    """Return a person's yes or no. Raise ConfigError where nobody answers."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():  # a person typed Ctrl-C or Ctrl-D: that is an interruption
            raise
    typer.echo(err=True)
    raise ConfigError("no answer on standard input", hint="--yes answers yes")
