"""Offer `benchfleet bisect`: find the candidate that brought a regression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.following import following
from orchestrator.cli.options import SESSIONS, SWEEP_FILES, Call, Reservation, Wait, examples, shares
from orchestrator.domain.bisection import Outcome, Replaces
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.bisection import Bisection


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet bisect 12 --candidates builds.txt"))(bisect)


@shares((*SESSIONS, *SWEEP_FILES))
def bisect(
    call: Call,
    regression: Annotated[int, typer.Argument(metavar="REGRESSION", help="The id that regressions list shows.", min=1)],
    candidates: Annotated[
        Path,
        typer.Option(
            "--candidates",
            metavar="FILE",
            help="A list, a line for each: files, or versions of the runtime. The last good one comes first, then all "
            "others in order up to a bad one.",
        ),
    ],
    replaces: Annotated[
        Replaces | None,
        typer.Option(
            "--replaces",
            help="What a candidate takes the place of. By default versions take that of the runtime, and files that of "
            "an exec runtime's program, or else of the artifact.",
            show_default=False,
        ),
    ] = None,
    wait: Wait = False,
    reservation: Reservation = None,
) -> None:
    """Find the candidate that brought a regression.

    Each step measures a candidate beside the good candidate, interleaved, on the device of the regression. The same
    command goes on with a search after an interruption. Exits 3 if the regression does not show, or a step has no
    results.
    """
    from orchestrator.reporting.reports.bisection import bisection_report
    from orchestrator.reporting.tables.bisection import expectation, step_line
    from orchestrator.services.bisect.search import BisectRequest
    from orchestrator.services.bisect.search import bisect as search

    def on_step(found: Bisection) -> None:
        # For a program standard error has nothing but errors.
        if call.is_watched:
            typer.echo(step_line(found) if found.steps else expectation(found), err=True)

    request = BisectRequest(regression, candidates, replaces, wait, reservation)
    with following(call) as (wiring, shows):
        found = search(request, wiring, shows, on_step)
    call.show(bisection_report(found))
    leave(ExitCode.FINE if found.outcome is Outcome.FOUND else ExitCode.INCOMPLETE)
