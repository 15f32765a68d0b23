"""Offer `benchfleet env-diff`: what differs between two runs before any figure."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command("env-diff", epilog=examples("benchfleet env-diff last-before last"))(env_diff)


@shares(DATABASE)
def env_diff(
    call: Call,
    before: Annotated[
        str,
        typer.Argument(
            metavar="BEFORE",
            help="The run before: an id, a unique beginning of it, last-before, or a date, as compare has them.",
        ),
    ],
    after: Annotated[
        str,
        typer.Argument(
            metavar="AFTER",
            help="The run after: an id or name, a unique beginning of either, or 'last'.",
        ),
    ] = "last",
) -> None:
    """Show what differs around two runs: environments and bytes.

    For each device of both: hardware, system, kernel, governor and Python, as the device reported them, and artifacts,
    runtimes and worker by hash. Figures are for compare.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_difference import difference_report
    from orchestrator.services.results.difference import DifferenceRequest, run_difference

    with Wiring(call.settings(), needs_database=True) as wiring:
        found = run_difference(DifferenceRequest(before, after), wiring)
    call.show(difference_report(found))
