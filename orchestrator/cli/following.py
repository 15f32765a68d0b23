"""Carry out use cases with devices: live display, Ctrl-C, and the run in full at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.options import Call
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.run_details import RunDetails
    from orchestrator.reporting.base import RunDisplay
    from orchestrator.services.base import Shows


@contextmanager
def following(
    call: Call, goes_on_by: str | None = None, *, needs_database: bool = False
) -> Iterator[tuple[Wiring, Shows]]:
    """Open the wiring and the display for a use case with devices.

    Ctrl-C prints the commands to go on with the run, and exits 3. `goes_on_by` replaces those commands.
    `needs_database` refuses a database that is not there.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.cli.process import settle
    from orchestrator.cli.reading import reading_shown
    from orchestrator.reporting.formats.console import stderr_console
    from orchestrator.reporting.live.progress import run_display

    run: str | None = None

    def shows(name: str) -> RunDisplay:
        nonlocal run
        run = name
        settle()  # here, since most modules have been imported by now
        # A night's report has no failures of single cells, and a report in a file is not seen on the terminal.
        is_reported = goes_on_by is None and sys.stdout.isatty()
        # For a program the display is silent: standard error then has nothing but errors.
        display = run_display(stderr_console(), silent=not call.is_watched, is_reported=is_reported)
        return wiring.journaled(name, display)

    with Wiring(call.settings(), needs_database=needs_database) as wiring, reading_shown(call):
        try:
            yield wiring, shows
        except KeyboardInterrupt:
            if run is None:  # nothing has begun, and there is no run to name
                raise
            goes_on = goes_on_by or f"benchfleet runs follow {run} (resume, if some had not begun)"
            typer.echo(
                "interrupted; devices that run go on by themselves.\n"
                f"Pick the {'night' if goes_on_by else 'run'} up with: {goes_on}\n"
                f"or end {'its present run' if goes_on_by else 'it'} with: benchfleet runs cancel {run}",
                err=True,
            )
            raise typer.Exit(ExitCode.INCOMPLETE) from None
        except BrokenPipeError:  # whoever read the progress has left, and devices go on by themselves
            raise typer.Exit(ExitCode.INCOMPLETE) from None


def show_run(details: RunDetails, call: Call) -> None:
    """Print a run in full."""
    from orchestrator.reporting.reports.run_details import run_details_report

    call.show(run_details_report(details))
