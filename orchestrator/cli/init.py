"""Offer `benchfleet init`: write a new lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import NO_SETTINGS, Call, examples, shares


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples("benchfleet init lab && cd lab && benchfleet run sweeps/quickstart.yaml"))(init)


@shares(NO_SETTINGS)
def init(
    call: Call,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; created if need be.")],
) -> None:
    """Write the files of a new lab.

    An inventory, sweeps, settings and a model, all commented. Files already there stay.
    """
    from orchestrator.reporting.reports.lab import NewLab, lab_report
    from orchestrator.services.lab.init import init_lab

    call.show(lab_report(NewLab(directory, init_lab(directory))))
