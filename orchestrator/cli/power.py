"""Offer `benchfleet power`: recordings of meters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.following import show_run
from orchestrator.cli.options import FLEET, Call, RunName, examples, shares

app = typer.Typer(no_args_is_help=True, help="Join recordings of power meters with runs.")


@app.callback()
def _group() -> None:
    """Keep `import` a command of its own: a group of one command would be that command."""


@app.command("import", epilog=examples("benchfleet power import last joulescope.csv --device pi-03 --name joulescope"))
@shares(FLEET)
def import_(
    call: Call,
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Lines of unix_time and watts, or a CSV file of both.")],
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="The device that the meter fed.")],
    offset_s: Annotated[
        float,
        typer.Option("--offset", metavar="SECONDS", help="How far the recording's clock is ahead of this machine's."),
    ] = 0.0,
    uncertainty_s: Annotated[
        float, typer.Option("--offset-uncertainty", metavar="SECONDS", min=0.0, help="By how much that may be wrong.")
    ] = 0.0,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The meter, for figures.", show_default=False),
    ] = None,
    accuracy: Annotated[
        float | None,
        typer.Option(
            "--accuracy", metavar="PERCENT", min=0.0, max=100.0, help="The meter's largest error.", show_default=False
        ),
    ] = None,
) -> None:
    """Join a recording of a meter with the trials of a device in a run.

    The inventory must have named a meter when the run was made (`power: [{csv: true}]`): idle times were kept then, and
    clocks compared. A second import of the same meter replaces the first. docs/measuring.md
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.services.runs.metering import ImportRequest, import_recording
    from orchestrator.services.runs.show import details_of, require_run

    request = ImportRequest(run, file, device, offset_s, uncertainty_s, name, accuracy)
    with Wiring(call.settings(), needs_database=True) as wiring:
        found = require_run(wiring.store.runs, run).header.run
        joined = import_recording(request, found, wiring.meters(), wiring)
        details = details_of(wiring.store, found)
    words = f"{joined.source}: {joined.with_figures} trials of {device} have figures, {joined.without} have none"
    left = f"; {joined.left} keep those of another source" if joined.left else ""
    typer.echo(words + left, err=True)
    show_run(details, call)
