"""Offer `benchfleet plan`: print the plans of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.options import FLEET, SWEEP_FILES, Call, Select, examples, shares
from orchestrator.cli.overriding import Missing, Runtimes, Sets, Stale, Threads, Trials, Variants, overrides_of
from orchestrator.domain.errors import ExitCode

SweepPath = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    other = "benchfleet plan sweeps/quickstart.yaml --select local --set trials=10"
    app.command(epilog=examples(other, "benchfleet plan sweeps/quickstart.yaml --stale 7d", title="Examples:"))(plan)


@shares((*FLEET, *SWEEP_FILES))
def plan(
    call: Call,
    sweep: SweepPath,
    select: Select = "all",
    probe: Annotated[bool, typer.Option("--probe", help="Ask every device anew, even where facts are known.")] = False,
    variants: Variants = None,
    runtimes: Runtimes = None,
    threads: Threads = None,
    trials: Trials = None,
    sets: Sets = None,
    missing: Missing = False,
    stale: Stale = None,
) -> None:
    """Print what a sweep would run, and how long it takes.

    Prints for each device the order of cells, and the excluded cells with reasons. Devices never probed before are
    probed first. Same inputs and seed give the same plan, byte for byte. Exits 3 if a device could not be planned for,
    4 if no device could, 2 if no cell is left to run; 0 if none is left because all have a counted result.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.cli.reading import reading_shown
    from orchestrator.reporting.formats.console import stderr_console
    from orchestrator.reporting.reports.plans import plan_report
    from orchestrator.reporting.tables.fleet import quarantine_line
    from orchestrator.reporting.tables.plans import SweepPlans
    from orchestrator.services.runs import plan as plans
    from orchestrator.services.runs.incremental import read_increment

    overrides, increment = overrides_of(sets, variants, runtimes, threads, trials), read_increment(missing, stale)
    request = plans.PlanRequest(sweep, select, probe, overrides, increment)
    with Wiring(call.settings()) as wiring, reading_shown(call):
        on_progress = None if call.quiet else stderr_console().print
        planned = plans.plan(request, wiring, on_progress)
    planning = planned.planning
    found = SweepPlans(planned.sweep, planned.seed, planning.plans, planning.failures, planning.machines, planned.sent)
    call.show(plan_report(found))
    # After the plan, and on standard error: a plan for such a device is right, only the run would leave it out.
    for quarantine in planned.quarantines.values():
        typer.echo(f"warning: run would leave this device out: {quarantine_line(quarantine)}", err=True)
    if planning.exit_code is ExitCode.USAGE:
        typer.echo("error: nothing to run: every cell is excluded\nhint: the plan says why", err=True)
    elif planning.is_counted:
        typer.echo("nothing to run: every cell that can run has a counted result", err=True)
    leave(planning.exit_code)
