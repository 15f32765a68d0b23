"""Offer `benchfleet replay`: a cell of a run as a bundle, to be measured again anywhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(
        epilog=examples("benchfleet replay last --cell 'device=pi-03,variant=int8' -o int8", "sh int8/run.sh")
        + "\n\n"
        + examples("benchfleet replay 4711 -o int8.tar", title="By an attempt's id:")
    )(replay)


@shares(DATABASE)
def replay(
    call: Call,
    named: Annotated[
        str,
        typer.Argument(
            metavar="ATTEMPT|RUN", help="An attempt's id, as runs show --cell lists it; or a run, with --cell."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="PATH", help="The folder to be made, or FILE.tar; it must not be there yet."
        ),
    ],
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell",
            metavar="RULE",
            help="The cell of the run, such as 'device=pi-03,variant=int8'; globs work.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a cell as a bundle that runs on any controller.

    The bundle has the sweep of the cell, every content by hash, the facts of the device then, and the command;
    passwords, addresses and variables of the lab are not in the bundle. The bundle appears when everything is in it.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.written_files import written_report
    from orchestrator.services.runs.replay import ReplayRequest
    from orchestrator.services.runs.replay import replay as write

    with Wiring(call.settings(), needs_database=True) as wiring:
        written = write(ReplayRequest(named, cell, out), wiring)
    call.show(written_report([written]))
    if call.is_watched:
        unpack, folder = (f"tar xf {shlex.quote(out.name)} && ", out.stem) if written.format == "tar" else ("", out)
        typer.echo(f"in a lab's folder: {unpack}sh {shlex.quote(f'{folder}/run.sh')}", err=True)
