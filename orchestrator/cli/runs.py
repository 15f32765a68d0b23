"""`benchfleet runs`: what ran, what is missing, and how to go on with it."""

from __future__ import annotations

from dataclasses import dataclass
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
    RunName,
    Select,
    Wait,
    examples,
)
from orchestrator.cli.output import leave, show

if TYPE_CHECKING:
    from orchestrator.services.drive import Intent
    from orchestrator.settings import Settings

app = typer.Typer(no_args_is_help=True, help="List, show, follow, resume and cancel runs.")


@app.command("list", epilog=examples("benchfleet runs list --limit 5"))
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 20,
    db: Db = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    from orchestrator import bootstrap
    from orchestrator.reporting.run_list import run_table

    runs = bootstrap.list_runs(bootstrap.settings(db=db, config=config), limit)
    if runs or as_json:
        show(runs, as_json, lambda: run_table(runs))
    else:
        typer.echo("no run yet; benchfleet run SWEEP makes the first one (or is it another --db?)", err=True)


@app.command("show", epilog=examples("benchfleet runs show last"))
def show_(run: RunName, db: Db = None, config: Config = None, as_json: Json = False) -> None:
    """Show a run: devices, results, and what is missing and why.

    Exits 3 if anything is missing, 4 if no device could be used.
    """
    from orchestrator import bootstrap
    from orchestrator.reporting.runs import RunDetails, run_report
    from orchestrator.services.run import outcome_of, require_run

    with bootstrap.store(bootstrap.settings(db=db, config=config)) as store:
        outcome = outcome_of(store, require_run(store, run).header.run)
    details = RunDetails(outcome.record, outcome.missing, outcome.results, outcome.excluded, outcome.recovery)
    show(details, as_json, lambda: run_report(details))
    leave(outcome.exit_code)


@app.command(epilog=examples("benchfleet runs follow last"))
def follow(
    run: RunName,
    select: Select = "all",
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Collect what the devices of a run have done, until they are done."""
    from orchestrator import bootstrap
    from orchestrator.services.drive import Intent

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    _pick_up(Intent.FOLLOW, run, settings, as_json, PickUpOptions(select))


@app.command(epilog=examples("benchfleet runs resume last"))
def resume(
    run: RunName,
    select: Select = "all",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed and invalid trials again.")] = False,
    wait: Wait = False,
    reservation: Reservation = None,
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Complete a run after any kind of stop; each trial counts once.

    Reattaches to devices that are still at it, collects what they have done, and runs what is missing.
    """
    from orchestrator import bootstrap
    from orchestrator.services.drive import Intent

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    options = PickUpOptions(select, retry_failed, wait, reservation)
    _pick_up(Intent.RESUME, run, settings, as_json, options)


@app.command(epilog=examples("benchfleet runs cancel last"))
def cancel(
    run: RunName,
    select: Select = "all",
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End a run on its devices, and keep what is finished."""
    from orchestrator import bootstrap
    from orchestrator.services.drive import Intent

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    _pick_up(Intent.CANCEL, run, settings, as_json, PickUpOptions(select))


@dataclass(frozen=True, slots=True)
class PickUpOptions:
    """What may be said of a run that is picked up."""

    select: str = "all"
    retry_failed: bool = False
    waits: bool = False
    reservation: int | None = None


def _pick_up(intent: Intent, run: str, settings: Settings, as_json: bool, options: PickUpOptions) -> None:
    from orchestrator import bootstrap
    from orchestrator.services.pick_up import pick_up
    from orchestrator.services.run import require_run

    known = bootstrap.inventory(settings)
    with driving(settings, run, as_json) as driver:
        record = require_run(driver.store, run)
        driver.run = record.header.run
        planner = bootstrap.planner_of(settings, record.header)
        parts = driver.parts(planner, waits=options.waits, reservation=options.reservation)
        outcome = pick_up(record, intent, known, parts, select=options.select, retry_failed=options.retry_failed)
    conclude(outcome, as_json, intent)
