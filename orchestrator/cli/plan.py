"""`benchfleet plan`: what a sweep would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import Config, Db, InventoryPath, Json, Select, examples
from orchestrator.cli.output import leave, show

SweepPath = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet plan sweeps/quickstart.yaml --select local"))(plan)


def plan(
    sweep: SweepPath,
    select: Select = "all",
    probe: Annotated[bool, typer.Option("--probe", help="Ask every device anew, even where facts are known.")] = False,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print what a sweep would run, and how long it takes.

    Says for each device in which order cells run, and which are excluded and why. Devices that have never been
    probed are probed first. Same inputs and seed give the same plan, byte for byte. Exits 3 if some devices could not
    be planned for, 4 if none could.
    """
    from orchestrator import bootstrap
    from orchestrator.reporting.console import stderr_console
    from orchestrator.reporting.fleet import quarantine_line
    from orchestrator.reporting.plans import SweepPlans, plan_report
    from orchestrator.services.plan import plan_sweep

    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    devices = bootstrap.inventory(settings).select(select)
    file = bootstrap.sweep_file(sweep)
    planner = bootstrap.planner(settings, file, on_progress=stderr_console().print)
    with bootstrap.store(settings) as store:
        planning = plan_sweep(devices, planner, store, lambda: bootstrap.executor(settings), probe_all=probe)
        kept_out = store.quarantines([device.name for device in devices])
    planned = SweepPlans(file.sweep.name, file.sweep.order.seed, planning.plans, planning.failures)
    show(planned, as_json, lambda: plan_report(planned))
    for quarantine in kept_out.values():
        typer.echo(f"warning: run would leave this device out: {quarantine_line(quarantine)}", err=True)
    leave(planning.exit_code)
