"""Offer `benchfleet regressions`: list, show and decide about what nights have confirmed."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares
from orchestrator.domain.regression import RegressionState

app = typer.Typer(no_args_is_help=True, help="List, show and decide about what nights have confirmed.")

Id = Annotated[int, typer.Argument(metavar="REGRESSION", help="The id that regressions list shows.", min=1)]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept and shown.")]


@app.command("list", epilog=examples("benchfleet regressions list --nightly main"))
@shares(DATABASE)
def list_(
    call: Call,
    nightly: Annotated[
        str | None,
        typer.Option("--nightly", metavar="NAME", help="Of this nightly.  [default: all]", show_default=False),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="What has ended, and what is only suspected, too.")] = False,
) -> None:
    """List regressions that are confirmed and not over, newest first."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.regressions import regressions_report
    from orchestrator.services.history.regressions import list_regressions

    with Wiring(call.settings()) as wiring:
        found = list_regressions(nightly, wiring, ended=all_) if wiring.store_if_there() else []
    # A program gets an empty list. A person is told that there is nothing.
    if found or not call.for_people:
        call.show(regressions_report(found))
    else:
        typer.echo("no regression is open" if not all_ else "no regression yet", err=True)


@app.command(epilog=examples("benchfleet regressions show 12"))
@shares(DATABASE)
def show(call: Call, regression: Id) -> None:
    """Show a regression: figures, life, and what people noted."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.regressions import regression_report
    from orchestrator.services.history.regressions import show_regression

    with Wiring(call.settings(), needs_database=True) as wiring:
        details = show_regression(regression, wiring)
    call.show(regression_report(details))


@app.command(epilog=examples("benchfleet regressions acknowledge 12 --reason 'known, fixed in 2.4'"))
@shares(DATABASE)
def acknowledge(call: Call, regression: Id, reason: Reason) -> None:
    """Say that a regression is known.

    The regression stays open. Nights fail again only if the cell gets worse still. A night notices the fix.
    """
    _decide(call, regression, RegressionState.ACKNOWLEDGED, reason)


@app.command(epilog=examples("benchfleet regressions accept 12 --reason 'worth the accuracy'"))
@shares(DATABASE)
def accept(call: Call, regression: Id, reason: Reason) -> None:
    """Take the new level as it is.

    The level is now the baseline of the series, and the series' history begins anew with the level.
    """
    _decide(call, regression, RegressionState.ACCEPTED, reason)


@app.command(epilog=examples("benchfleet regressions invalid 12 --reason 'the fan was blocked'"))
@shares(DATABASE)
def invalid(call: Call, regression: Id, reason: Reason) -> None:
    """Say that there never was a regression.

    The baseline stays. Should a night confirm the same again, another regression begins.
    """
    _decide(call, regression, RegressionState.INVALID, reason)


def _decide(call: Call, regression: int, to: RegressionState, reason: str) -> None:
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.regressions import regression_report
    from orchestrator.services.history.regressions import Decision, decide

    with Wiring(call.settings(), needs_database=True) as wiring:
        details = decide(Decision(regression, to, reason), wiring)
    call.show(regression_report(details))
