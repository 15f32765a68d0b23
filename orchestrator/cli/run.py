"""Offer `benchfleet run`: execute a sweep."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.following import following, show_run
from orchestrator.cli.options import SESSIONS, SWEEP_FILES, Call, Reservation, Select, Wait, examples, shares
from orchestrator.cli.plan import SweepPath
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.run_details import RunDetails


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet run sweeps/quickstart.yaml --select 'class=rpi'"))(run)


@shares((*SESSIONS, *SWEEP_FILES), has_cases=True)
def run(
    call: Call,
    sweep: SweepPath,
    select: Select = "all",
    detach: Annotated[bool, typer.Option("--detach", help="Leave as soon as every device runs.")] = False,
    wait: Wait = False,
    reservation: Reservation = None,
) -> None:
    """Run a sweep on devices and follow it to its end.

    Devices run by themselves: Ctrl-C leaves devices running, and `benchfleet runs follow last` picks them up.
    """
    from orchestrator.services.runs.start import StartRequest, start

    request = StartRequest(sweep, select, detach, wait, reservation)
    with following(call) as (wiring, shows):
        details = start(request, wiring, shows)
    show_run(details, call)
    code = request.exit_code(details)
    if detach and code is ExitCode.FINE:
        typer.echo(f"detached; follow it with: benchfleet runs follow {details.record.header.run}", err=True)
    leave(code)
    # Only for somebody at a terminal: a log or a pipe has no use for advice.
    if not detach and call.for_people and sys.stderr.isatty():
        _say_what_next(details)


def _say_what_next(details: RunDetails) -> None:
    from orchestrator.reporting.tables.runs import comparison_to_try

    command = comparison_to_try(details.results)
    if command is not None:
        typer.echo(f"now: {command}", err=True)
