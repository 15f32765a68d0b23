"""What every command that drives devices shares: its display, its parts, Ctrl-C, and how it concludes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.output import leave, show
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.reporting.base import RunDisplay
    from orchestrator.services.drive import DriverParts, Intent, Planner
    from orchestrator.services.run import RunOutcome
    from orchestrator.settings import Settings
    from orchestrator.store.store import Store


class Driving:
    """The open database and the display of one command; `run` is the run's name, as far as it is known yet."""

    def __init__(self, settings: Settings, store: Store, display: RunDisplay, run: str) -> None:
        self._settings = settings
        self.store = store
        self.run = run
        self._display = display

    def parts(self, planner: Planner, *, waits: bool = False, reservation: int | None = None) -> DriverParts:
        """Return what a driver works with."""
        from orchestrator import bootstrap
        from orchestrator.services.drive import DriverParts

        tenant = bootstrap.tenant(self._settings, waits=waits, reservation=reservation)
        return DriverParts(self.store, bootstrap.executor(self._settings), self._display, planner, tenant)


@contextmanager
def driving(settings: Settings, run: str, as_json: bool) -> Iterator[Driving]:
    """Open the database and the display; Ctrl-C says how to pick the run up, and exits 3."""
    from orchestrator import bootstrap
    from orchestrator.reporting.console import stderr_console
    from orchestrator.reporting.progress import run_display

    with bootstrap.store(settings) as store:
        display = bootstrap.journaled(settings, run, run_display(stderr_console(), silent=as_json))
        driver = Driving(settings, store, display, run)
        gc.freeze()  # what has been imported by now stays: hours of looking through it for garbage are for nothing
        try:
            with display:
                yield driver
        except KeyboardInterrupt:
            typer.echo(
                "interrupted; devices that run go on by themselves.\n"
                f"Pick the run up with: benchfleet runs follow {driver.run} (resume, if some had not begun)\n"
                f"or end it with: benchfleet runs cancel {driver.run}",
                err=True,
            )
            raise typer.Exit(ExitCode.INCOMPLETE) from None
        except BrokenPipeError:  # whoever read the progress has left, and devices go on by themselves
            raise typer.Exit(ExitCode.INCOMPLETE) from None


def conclude(outcome: RunOutcome, as_json: bool, intent: Intent) -> None:
    """Print how the run stands and exit accordingly: what a detach or a cancel wanted is fine if it was had."""
    from orchestrator.domain.run import DeviceRunState
    from orchestrator.reporting.runs import RunDetails, run_report
    from orchestrator.services.drive import Intent

    details = RunDetails(outcome.record, outcome.missing, outcome.results, outcome.excluded, outcome.recovery)
    show(details, as_json, lambda: run_report(details))
    states = {part.state for part in outcome.record.devices}
    if outcome.taken_over:
        leave(outcome.exit_code)
    if intent is Intent.DETACH and DeviceRunState.FAILED not in states:
        typer.echo(f"detached; follow it with: benchfleet runs follow {outcome.record.header.run}", err=True)
    elif intent is not Intent.CANCEL or not states <= {DeviceRunState.CANCELLED, DeviceRunState.COMPLETE}:
        leave(outcome.exit_code)
