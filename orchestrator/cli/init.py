"""`benchfleet init`: a new lab."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Json, examples


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet init lab && cd lab && benchfleet run sweeps/quickstart.yaml"))(init)


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; created if need be.")],
    as_json: Json = False,
) -> None:
    """Write the files of a new lab.

    An inventory, sweeps, settings and a model, all commented. Nothing that is there already is replaced.
    """
    from orchestrator.services.init_lab import init_lab

    written = init_lab(directory)
    if as_json:
        from orchestrator.reporting.plain_data import json_text

        typer.echo(json_text({"directory": directory, "written": written}))
    else:
        for path in written:
            typer.echo(f"wrote {path}")
        if not written:
            typer.echo(f"{directory} is complete already; nothing written")
        there = "" if directory.resolve() == Path.cwd() else f"cd {shlex.quote(str(directory))} && "
        typer.echo(f"now: {there}benchfleet run sweeps/quickstart.yaml")
