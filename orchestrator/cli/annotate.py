"""Offer `benchfleet annotate`: note what a person knows about a date, a device, a series or a run."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares
from orchestrator.domain.errors import ConfigError

_LIST = examples("benchfleet annotate --list 2026-11-01..2026-11-28", title="Read them again:") + "\n\n"


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=_LIST + examples("benchfleet annotate pi-03 'fan replaced' --on 2026-11-28"))(annotate)


@shares(DATABASE)
def annotate(
    call: Call,
    about: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATE|RUN|DEVICE]", help="What the text is about; a range of dates is 2026-11-01..2026-11-28."
        ),
    ] = None,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="The text: one line.")] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="DATE", help="When, for a device: a date or a range.  [default: today]"),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="Only this device, for a date.", show_default=False)
    ] = None,
    series: Annotated[
        int | None, typer.Option("--series", metavar="ID", help="Only this series, for a date.", show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List annotations, of a date or a range or all.")] = False,
) -> None:
    """Note what a person knows about a date, a device or a run.

    Nights and regressions of that time show the text. Dates are in UTC.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.annotations import annotations_report
    from orchestrator.services.history import annotations

    if list_ and text is not None:
        raise ConfigError("--list takes no text", "benchfleet annotate --list 2026-11-28 lists those of a date")
    if not list_ and (about is None or text is None):
        raise ConfigError("what is the text, and what is it about?", "benchfleet annotate --help")
    with Wiring(call.settings(), needs_database=True) as wiring:
        if about is None or text is None:
            found = annotations.list_annotations(about, wiring)
        else:
            found = [annotations.annotate(annotations.AnnotateRequest(about, text, on, device, series), wiring)]
    # A program gets an empty list. A person is told that there is nothing.
    if found or not call.for_people:
        call.show(annotations_report(found))
    else:
        typer.echo("no annotation yet" if about is None else f"no annotation concerns {about}", err=True)
