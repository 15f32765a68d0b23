"""Offer `benchfleet baseline`: pin, accept, list and show what runs are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares

if TYPE_CHECKING:
    from orchestrator.domain.baseline import Baseline

app = typer.Typer(no_args_is_help=True, help="Pin, accept, list and show what runs are compared with.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The baseline's name. A nightly reads the baseline of its own name.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept and shown.")]


Device = Annotated[
    str | None, typer.Option("--device", metavar="GLOB", help="Only cells of these devices.", show_default=False)
]
Variant = Annotated[
    str | None, typer.Option("--variant", metavar="GLOB", help="Only cells of these variants.", show_default=False)
]
Runtime = Annotated[
    str | None, typer.Option("--runtime", metavar="GLOB", help="Only cells of these runtimes.", show_default=False)
]


@app.command(epilog=examples("benchfleet baseline pin main last --reason 'release 2.3'"))
@shares(DATABASE)
def pin(call: Call, name: Name, run: RunName, reason: Reason) -> None:
    """Compare with a run from now on.

    Earlier baselines stay on record. `benchfleet compare RUN --against NAME` compares with the baseline.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.services.history.baselines import LevelRequest
    from orchestrator.services.history.baselines import pin as pin_level

    with Wiring(call.settings(), needs_database=True) as wiring:
        made = pin_level(LevelRequest(name, run, reason), wiring)
    _show(call, made)


@app.command(epilog=examples("benchfleet baseline accept main last --device pi-03 --reason 'new kernels'"))
@shares(DATABASE)
def accept(
    call: Call,
    name: Name,
    run: RunName,
    reason: Reason,
    device: Device = None,
    variant: Variant = None,
    runtime: Runtime = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="Only this metric.  [default: all]", show_default=False),
    ] = None,
) -> None:
    """Take the levels of a run's cells as they are.

    The levels are the baseline now, and the history that nights look back on begins anew with this run. Regressions
    of these cells are accepted too.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.services.history.baselines import Cells, LevelRequest
    from orchestrator.services.history.baselines import accept as accept_level

    cells = Cells(device, variant, runtime, metric)
    with Wiring(call.settings(), needs_database=True) as wiring:
        made = accept_level(LevelRequest(name, run, reason, cells), wiring)
    _show(call, made)


@app.command("list", epilog=examples("benchfleet baseline list"))
@shares(DATABASE)
def list_(call: Call) -> None:
    """List the present levels of all baselines."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.services.history.baselines import list_baselines

    with Wiring(call.settings()) as wiring:
        levels = list_baselines(wiring) if wiring.store_if_there() else []
    # A program gets an empty list. A person is told how a baseline begins.
    if levels or not call.for_people:
        _show(call, levels)
    else:
        typer.echo("no baseline yet; benchfleet baseline pin NAME RUN --reason TEXT makes one", err=True)


@app.command(epilog=examples("benchfleet baseline show main"))
@shares(DATABASE)
def show(call: Call, name: Name) -> None:
    """Show every level that a baseline ever had."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.services.history.baselines import show_baseline

    with Wiring(call.settings(), needs_database=True) as wiring:
        levels = show_baseline(name, wiring)
    _show(call, levels)


def _show(call: Call, levels: Sequence[Baseline]) -> None:
    from orchestrator.reporting.reports.baselines import levels_report

    call.show(levels_report(levels))
