"""`benchfleet devices`: what there is to measure, what it says of itself, whose key it shows, and who has it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import (
    Config,
    Db,
    ExecutorName,
    InventoryPath,
    Json,
    RayAddress,
    Select,
    Wait,
    examples,
)
from orchestrator.cli.output import leave, show
from orchestrator.domain.errors import ConfigError, DeviceError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.domain.cleaning import Thing
    from orchestrator.domain.device import Device
    from orchestrator.domain.enrollment import Enrollment
    from orchestrator.domain.inventory import Inventory

app = typer.Typer(no_args_is_help=True, help="List, probe, enrol, reserve, clean and quarantine devices.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A device of the inventory.")]
ON_THE_DEVICE = examples("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", title="On the device:") + "\n\n"


@app.command("list", epilog=examples("benchfleet devices list --select 'class=rpi,not pi-03'"))
def list_(
    select: Select = "all",
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the inventory's devices, and who has which."""
    from orchestrator import bootstrap
    from orchestrator.reporting.fleet import device_rows, device_table

    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    devices = bootstrap.inventory(settings).select(select)
    names = [device.name for device in devices]
    facts = bootstrap.known_facts(settings, names)
    holdings, quarantines = bootstrap.known_use(settings, names)
    show(
        device_rows(devices, facts, holdings, quarantines),
        as_json,
        lambda: device_table(devices, facts, holdings, quarantines),
    )


@app.command(epilog=examples("benchfleet devices probe --select 'pi-*'"))
def probe(
    select: Select = "all",
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Connect to devices, all at once, and keep the facts of each.

    A device that fails is a row with its reason; the exit code is then 3, or 4 if none answered.
    """
    from orchestrator import bootstrap
    from orchestrator.reporting.fleet import probe_report, probe_rows
    from orchestrator.services.probe import probe_devices

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    devices = bootstrap.inventory(settings).select(select)
    with bootstrap.store(settings) as store:
        answers = probe_devices(devices, store, bootstrap.executor(settings))
    limits = {device.name: device.limits for device in devices}
    show(probe_rows(answers, limits), as_json, lambda: probe_report(answers, limits))
    leave(_exit_code(answers))


@app.command(epilog=examples("benchfleet devices clean pi-03 --dry-run"))
def clean(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Devices of the inventory.")] = None,
    select: Annotated[
        str | None, typer.Option("--select", metavar="EXPR", help="More devices, such as 'class=rpi'.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Both, cache and runs: what is done without these options.")
    ] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Only blobs, bundles and old workers.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Only folders of runs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Ask for each run that is not safe in the database.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --force: remove such runs without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    executor: ExecutorName = None,
    ray_address: RayAddress = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Remove from devices what nobody needs.

    It says how much that frees. A run's folder goes only if it is finished and this database has its whole log. What a
    run, a session or a process still needs stays. A busy device is left alone.
    """
    from orchestrator import bootstrap
    from orchestrator.reporting.cleaning import clean_report, clean_rows
    from orchestrator.services.clean import Wish, clean_devices

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    devices = _named(bootstrap.inventory(settings), names or [], select)
    everything = all_ or not (cache or runs)
    wish = Wish(cache=cache or everything, runs=runs or everything, force=force, dry_run=dry_run)

    def agreed(device: str, run: Thing) -> bool:
        question = f"{device}: run {run.name}: {run.reason}. Remove it for good?"
        return yes or _confirmed(question)

    with bootstrap.store(settings) as store:
        answers = clean_devices(devices, store, bootstrap.executor(settings), wish, agreed)
    show(clean_rows(answers), as_json, lambda: clean_report(answers, dry_run=dry_run))
    leave(_exit_code(answers))


def _named(inventory: Inventory, names: Sequence[str], select: str | None) -> list[Device]:
    """Return devices by name and by selector, each once."""
    if not names and select is None:
        raise ConfigError("no device is named", "name devices, or pick them: --select EXPR (all picks every one)")
    devices = [inventory.device(name) for name in names]
    devices += inventory.select(select) if select is not None else ()
    return list({device.name: device for device in devices}.values())


@app.command(epilog=examples("benchfleet devices reserve pi-03 --for 2h --reason 'bisecting a regression'"))
def reserve(
    name: Name,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 90s, 30m, 2h, 1d.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What for; others are told.")],
    wait: Wait = False,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Keep a device for your own runs until a time is over.

    Its id, which is printed, lets others use it too: benchfleet run --reservation ID.
    """
    from orchestrator import bootstrap
    from orchestrator.domain.duration import parse_duration_s
    from orchestrator.domain.lease import Busy
    from orchestrator.reporting.fleet import queue_line, reservation_line
    from orchestrator.services.reserve import reserve_device

    lasts_s = parse_duration_s(lasts, "--for")
    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    device = bootstrap.inventory(settings).device(name)

    def on_wait(busy: Busy) -> None:
        typer.echo(queue_line(name, busy), err=True)

    with bootstrap.store(settings) as store:
        tenant = bootstrap.tenant(settings, waits=wait)
        lease = reserve_device(device, lasts_s, reason, tenant, store, on_wait=on_wait)
    show(lease, as_json, lambda: reservation_line(lease))


@app.command(epilog=examples("benchfleet devices release pi-03"))
def release(
    name: Name,
    reservation: Annotated[
        int | None,
        typer.Option("--reservation", min=1, metavar="ID", help="Somebody else's, by its id.", show_default=False),
    ] = None,
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give a device back before its reservation ends by itself."""
    from orchestrator import bootstrap
    from orchestrator.reporting.fleet import release_line
    from orchestrator.services.reserve import release_device

    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    device = bootstrap.inventory(settings).device(name)
    with bootstrap.store(settings) as store:
        lease = release_device(device.name, bootstrap.tenant(settings, reservation=reservation), store)
    show(lease, as_json, lambda: release_line(lease))


@app.command(epilog=examples("benchfleet devices quarantine pi-03 --reason 'its fan is broken'"))
def quarantine(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What is wrong; others are told.")],
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Keep further runs from a device until it is admitted again.

    A run that is at it goes on. What it has done can still be collected, and the device probed, reserved and cleaned.
    """
    from orchestrator import bootstrap
    from orchestrator.reporting.fleet import quarantine_line
    from orchestrator.services.reserve import quarantine_device

    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    device = bootstrap.inventory(settings).device(name)
    with bootstrap.store(settings) as store:
        known = store.quarantines([device.name])
        made = quarantine_device(device, reason, bootstrap.tenant(settings), store)
    if known:
        typer.echo(f"{name}: it was in quarantine already, for the reason given then", err=True)
    show(made, as_json, lambda: quarantine_line(made))


@app.command(epilog=examples("benchfleet devices readmit pi-03"))
def readmit(
    name: Name, db: Db = None, inventory: InventoryPath = None, config: Config = None, as_json: Json = False
) -> None:
    """End a device's quarantine, whoever or whatever put it there."""
    from orchestrator import bootstrap
    from orchestrator.reporting.fleet import readmission_line
    from orchestrator.services.reserve import readmit_device

    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    device = bootstrap.inventory(settings).device(name)
    with bootstrap.store(settings) as store:
        ended = readmit_device(device.name, bootstrap.tenant(settings), store)
    show(ended, as_json, lambda: readmission_line(ended))


@app.command(epilog=ON_THE_DEVICE + examples("benchfleet devices enroll pi-03"))
def enroll(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Record the key without asking.")] = False,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show a device's host key, and record it after a yes.

    A key that differs from the one on record is always refused. Compare the fingerprint with what the device itself
    prints.
    """
    from orchestrator import bootstrap
    from orchestrator.services.enroll import enroll_device

    settings = bootstrap.settings(inventory=inventory, config=config)
    device = bootstrap.inventory(settings).device(name)

    def agreed(enrollment: Enrollment) -> bool:
        typer.echo(f"{name} shows {enrollment.fingerprint}", err=True)
        return yes or _confirmed("Is this the device's own key?")

    enrollment = enroll_device(device, bootstrap.host_keys(settings), agreed)
    show(enrollment, as_json, enrollment.sentence)
    leave(ExitCode.FINE if enrollment.recorded else ExitCode.USAGE)


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
    typer.echo(err=True)
    raise ConfigError("no answer on standard input", hint="--yes answers yes")


def _exit_code(answers: Mapping[str, object]) -> ExitCode:
    """Return 0 where every device answered, 3 where some did, 4 where none did."""
    failed = sum(isinstance(answer, DeviceError) for answer in answers.values())
    return ExitCode.FINE if not failed else ExitCode.INFRASTRUCTURE if failed == len(answers) else ExitCode.INCOMPLETE
