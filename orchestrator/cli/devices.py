"""`benchfleet devices`: what there is to measure, what it says of itself, and whose key it shows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import Config, Db, ExecutorName, InventoryPath, Json, RayAddress, Select, examples
from orchestrator.cli.output import leave, show
from orchestrator.domain.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.enrollment import Enrollment

app = typer.Typer(no_args_is_help=True, help="List, probe and enrol devices.")

ON_THE_DEVICE = examples("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", title="On the device:") + "\n\n"


@app.command("list", epilog=examples("benchfleet devices list --select 'class=rpi,not pi-03'"))
def list_(
    select: Select = "all",
    db: Db = None,
    inventory: InventoryPath = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the inventory's devices, and what is known of them."""
    from orchestrator import bootstrap
    from orchestrator.reporting.fleet import device_rows, device_table

    settings = bootstrap.settings(db=db, inventory=inventory, config=config)
    devices = bootstrap.inventory(settings).select(select)
    facts = bootstrap.known_facts(settings, [device.name for device in devices])
    show(device_rows(devices, facts), as_json, lambda: device_table(devices, facts))


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
    from orchestrator.domain.errors import DeviceError
    from orchestrator.reporting.fleet import probe_report, probe_rows
    from orchestrator.services.probe import probe_devices

    settings = bootstrap.settings(db=db, inventory=inventory, config=config, executor=executor, ray_address=ray_address)
    known = bootstrap.inventory(settings)
    with bootstrap.store(settings) as store:
        answers = probe_devices(known.select(select), store, bootstrap.executor(settings))
    show(probe_rows(answers), as_json, lambda: probe_report(answers))
    failed = sum(isinstance(answer, DeviceError) for answer in answers.values())
    leave(ExitCode.FINE if not failed else ExitCode.INFRASTRUCTURE if failed == len(answers) else ExitCode.INCOMPLETE)


@app.command(epilog=ON_THE_DEVICE + examples("benchfleet devices enroll pi-03"))
def enroll(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A device of the inventory.")],
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
    raise ConfigError("no answer on standard input", hint="--yes records the key without asking")
