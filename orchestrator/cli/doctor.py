"""Offer `benchfleet doctor`: what is wrong with an installation, and what to do."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.options import SESSIONS, Call, Select, examples, shares

if TYPE_CHECKING:
    from orchestrator.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet doctor", "benchfleet doctor --devices", title="Examples:"))(doctor)


@shares(SESSIONS)
def doctor(
    call: Call,
    devices: Annotated[bool, typer.Option("--devices", help="Connect to the devices, too.")] = False,
    select: Select = "all",
) -> None:
    """Say what is wrong with this installation, and what to do about it.

    Looks at Python and packages, settings, inventory, keys, room on disks, the database with its schema and clock, and
    with --devices at the devices. Changes nothing, but keeps the facts of devices that answer. Exits 4 if anything is
    wrong.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.gateway import look_at_cluster
    from orchestrator.reporting.reports.checkup import checkup_report
    from orchestrator.services.doctor.checkup import DoctorRequest, check

    with ExitStack() as opened:

        def wire(settings: Settings) -> Wiring:
            return opened.enter_context(Wiring(settings))

        checkup = check(DoctorRequest(devices, select, call.config, look=look_at_cluster), call.settings, wire)
    call.show(checkup_report(checkup))
    leave(checkup.exit_code)
