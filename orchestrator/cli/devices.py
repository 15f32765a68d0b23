"""Offer `benchfleet devices`: list, probe, enrol, reserve, clean and quarantine devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.asking import confirmed
from orchestrator.cli.ending import leave
from orchestrator.cli.options import FLEET, INVENTORY, SESSIONS, Call, Select, Wait, examples, shares
from orchestrator.domain.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.cleaning import Item
    from orchestrator.domain.enrollment import Enrollment
    from orchestrator.domain.lease import Busy

app = typer.Typer(no_args_is_help=True, help="List, probe, enrol, reserve, clean and quarantine devices.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A device of the inventory.")]
ON_THE_DEVICE = examples("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub", title="On the device:") + "\n\n"


@app.command("list", epilog=examples("benchfleet devices list --select 'class=rpi,not pi-03'"))
@shares(FLEET)
def list_(call: Call, select: Select = "all") -> None:
    """List the inventory's devices with their holders.

    Detached runs that have ended are collected, and their devices free.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.devices import devices_report
    from orchestrator.services.devices.listing import list_devices

    with Wiring(call.settings()) as wiring:
        listing = list_devices(select, wiring, _told)
    call.show(devices_report(listing.devices, listing.facts, listing.holdings, listing.quarantines))


def _told(device: str, run: str) -> None:
    typer.echo(f"{device}: run {run} has ended there, and is collected; benchfleet runs show {run}", err=True)


@app.command(epilog=examples("benchfleet devices probe --select 'pi-*'"))
@shares(SESSIONS)
def probe(call: Call, select: Select = "all") -> None:
    """Connect to devices, all at once, and keep the facts of each.

    A failing device is a row with the reason. The exit code is then 3, or 4 if no device answered.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.probes import probe_report
    from orchestrator.services.devices import probe as probes
    from orchestrator.services.devices.answers import exit_code

    with Wiring(call.settings()) as wiring:
        probing = probes.probe(select, wiring)
    call.show(probe_report(probing.answers, probing.limits, probing.before, probing.gpus))
    leave(exit_code(probing.answers))


@app.command(epilog=examples("benchfleet devices clean pi-03 --dry-run"))
@shares(SESSIONS)
def clean(
    call: Call,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Devices of the inventory.")] = None,
    select: Annotated[
        str | None, typer.Option("--select", metavar="EXPR", help="More devices, such as 'class=rpi'.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Cache and runs (the default).")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Only blobs, bundles and old workers.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Only folders of runs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Ask for each run that is not safe in the database.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --force: remove such runs without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove unneeded files from devices.

    Prints the room made. A run's folder goes only if the run is finished and the database has the whole log. What
    runs, sessions or processes still need stays. A busy device is left alone.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.cleaning import cleaning_report
    from orchestrator.services.devices import clean as cleaning
    from orchestrator.services.devices.answers import exit_code

    # Neither flag means both: the usual wish is to clear a device.
    everything = all_ or not (cache or runs)
    scope = cleaning.CleaningScope(cache=cache or everything, runs=runs or everything, force=force, dry_run=dry_run)

    def confirm(device: str, run: Item) -> bool:
        question = f"{device}: run {run.name}: {run.reason}. Remove it for good?"
        return yes or confirmed(question)

    with Wiring(call.settings()) as wiring:
        answers = cleaning.clean(cleaning.CleanRequest(names or (), select, scope), wiring, confirm)
    call.show(cleaning_report(answers, dry_run=dry_run))
    leave(exit_code(answers))


@app.command(epilog=examples("benchfleet devices reserve pi-03 --for 2h --reason 'bisecting a regression'"))
@shares(FLEET)
def reserve(
    call: Call,
    name: Name,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 90s, 30m, 2h, 1d.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What for; others are told.")],
    wait: Wait = False,
) -> None:
    """Keep a device for your own runs for a time.

    Prints the id of the reservation. The id lets other people use the device too: benchfleet run --reservation ID.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.duration import parse_duration_s
    from orchestrator.reporting.reports.leases import reservation_report
    from orchestrator.reporting.tables.fleet import queue_line, reach_lines
    from orchestrator.services.devices import reserve as reservations

    def on_wait(busy: Busy) -> None:
        typer.echo(queue_line(name, busy), err=True)

    request = reservations.ReserveRequest(name, parse_duration_s(lasts, "--for"), reason, wait)
    with Wiring(call.settings()) as wiring:
        made = reservations.reserve(request, wiring, on_wait)
    for line in reach_lines(made.lease.device, made.twins, made.is_machine_known):
        typer.echo(line, err=True)
    call.show(reservation_report(made.lease))


@app.command(epilog=examples("benchfleet devices release pi-03"))
@shares(FLEET)
def release(
    call: Call,
    name: Name,
    reservation: Annotated[
        int | None,
        typer.Option("--reservation", min=1, metavar="ID", help="Somebody else's, by its id.", show_default=False),
    ] = None,
) -> None:
    """Give a device back before its reservation ends by itself."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.leases import release_report
    from orchestrator.services.devices import reserve as reservations

    with Wiring(call.settings()) as wiring:
        lease = reservations.release(name, wiring, reservation)
    call.show(release_report(lease))


@app.command(epilog=examples("benchfleet devices quarantine pi-03 --reason 'its fan is broken'"))
@shares(FLEET)
def quarantine(
    call: Call,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What is wrong; others are told.")],
) -> None:
    """Keep further runs from a device until it is admitted again.

    A run on the device goes on, and its results can still be collected. The device can still be probed, reserved and
    cleaned.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.quarantines import quarantine_report
    from orchestrator.services.devices import reserve as reservations

    with Wiring(call.settings()) as wiring:
        made, was_there = reservations.quarantine(name, reason, wiring)
    if was_there:
        typer.echo(f"{name}: it was in quarantine already, for the reason given then", err=True)
    call.show(quarantine_report(made))


@app.command(epilog=examples("benchfleet devices readmit pi-03"))
@shares(FLEET)
def readmit(call: Call, name: Name) -> None:
    """End a device's quarantine, made by a person or by a run."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.quarantines import readmission_report
    from orchestrator.services.devices import reserve as reservations

    with Wiring(call.settings()) as wiring:
        ended = reservations.readmit(name, wiring)
    call.show(readmission_report(ended))


@app.command(
    epilog=ON_THE_DEVICE
    + examples("benchfleet devices enroll pi-03", "benchfleet devices enroll --select 'class=rpi'", title="Examples:")
)
@shares(INVENTORY)
def enroll(
    call: Call,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A device of the inventory.")] = None,
    select: Annotated[
        str | None,
        typer.Option("--select", metavar="EXPR", help="Instead of NAME, a shelf: a list of fingerprints, and one yes."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Record the key without asking.")] = False,
) -> None:
    """Show a device's host key, and record the key after a yes.

    A key other than the recorded key is always refused. Compare the fingerprint with the fingerprint printed by the
    device. With --select the exit code is 3 if a device is not enrolled, 4 if none is.
    """
    if (name is None) == (select is None):
        raise ConfigError("name one device, or a shelf by --select", "such as benchfleet devices enroll pi-03")
    if select is not None:
        _enroll_shelf(call, select, yes=yes)
        return
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.enrollment import enrollment_report
    from orchestrator.services.devices import enroll as enrolling

    def agreed(enrollment: Enrollment) -> bool:
        # On standard error with the question, even under --yes: the fingerprint belongs into the log.
        typer.echo(f"{name} shows {enrollment.fingerprint}", err=True)
        return yes or confirmed("Is this the device's own key?")

    with Wiring(call.settings()) as wiring:
        enrollment = enrolling.enroll(str(name), wiring, agreed)
    call.show(enrollment_report(enrollment))
    leave(ExitCode.FINE if enrollment.recorded else ExitCode.USAGE)


def _enroll_shelf(call: Call, select: str, *, yes: bool) -> None:
    """Show the new keys of selected devices in a list, and record the keys after one yes."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.enrollment import Enrollment
    from orchestrator.reporting.reports.enrollment import shelf_report
    from orchestrator.services.devices import enroll as enrolling

    def agreed(new: Sequence[Enrollment]) -> bool:
        width = max(len(one.device) for one in new)
        for one in new:
            typer.echo(f"{one.device:<{width}}  {one.fingerprint}", err=True)
        keys = "this key the device's own" if len(new) == 1 else f"each of these {len(new)} keys its device's own"
        return yes or confirmed(f"Is {keys}?")

    with Wiring(call.settings()) as wiring:
        found = enrolling.enroll_shelf(select, wiring, agreed)
    call.show(shelf_report(found))
    lacking = [one for one in found.values() if not (isinstance(one, Enrollment) and one.recorded)]
    if any(isinstance(one, Enrollment) for one in lacking):
        leave(ExitCode.USAGE)  # as for a single device: nobody has said yes
    if lacking:
        leave(ExitCode.INFRASTRUCTURE if len(lacking) == len(found) else ExitCode.INCOMPLETE)
