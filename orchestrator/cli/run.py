"""`benchfleet run`: execute a sweep."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.following import conclude, driving
from orchestrator.cli.options import (
    Config,
    Db,
    ExecutorName,
    InventoryPath,
    Json,
    RayAddress,
    Reservation,
    Select,
    Wait,
    examples,
)
from orchestrator.cli.plan import SweepPath

if TYPE_CHECKING:
    from orchestrator.services.run import RunOutcome


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet run sweeps/quickstart.yaml --select 'class=rpi'"))(run)


def run(
    sweep: SweepPath,
    select: Select = "all",
    detach: Annotated[bool, typer.Option("--detach", help="Leave as soon as every device runs.")] = False,
    wait: Wait = False,
    reservation: Reservation = None,
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run a sweep on devices and follow it to its end.

    Devices run by themselves: Ctrl-C leaves them running, and `benchfleet runs follow last` picks them up.
    """
    from orchestrator import bootstrap
    from orchestrator.services.drive import Intent
    from orchestrator.services.run import new_run, run_sweep

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    devices = bootstrap.inventory(settings).select(select)
    file = bootstrap.sweep_file(sweep)
    intent = Intent.DETACH if detach else Intent.RUN
    header = new_run(file.sweep, file.text, file.model, {"select": select})
    with driving(settings, header.run, as_json) as driver:
        parts = driver.parts(bootstrap.planner(settings, file), waits=wait, reservation=reservation)
        outcome = run_sweep(header, file.model, devices, parts, intent)
    conclude(outcome, as_json, intent)
    if intent is Intent.RUN and not as_json and sys.stderr.isatty():
        _say_what_next(outcome)


def _say_what_next(outcome: RunOutcome) -> None:
    from orchestrator.reporting.runs import comparison_to_try

    command = comparison_to_try(outcome.results)
    if command is not None:
        typer.echo(f"now: {command}", err=True)
