"""Offer `benchfleet run`: execute a sweep, or a sweep made of model files."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.following import following, show_run
from orchestrator.cli.options import SESSIONS, SWEEP_FILES, Call, Reservation, Select, Wait, examples, shares
from orchestrator.cli.overriding import Missing, Runtimes, Sets, Stale, Threads, Trials, Variants, overrides_of
from orchestrator.cli.own_models import Save, What, own_request, written_sweep
from orchestrator.domain.errors import ExitCode, NothingToRun

if TYPE_CHECKING:
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.run_details import RunDetails
    from orchestrator.services.runs.own import OwnSweepRequest
    from orchestrator.services.runs.start import StartRequest

_NO_LAB = (
    "no inventory here: this machine is the device `local`. benchfleet init DIR writes a lab, for other devices too"
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    of_sweep = "benchfleet run sweeps/quickstart.yaml --select 'class=rpi'"
    of_files = "benchfleet run face.tflite --threads 1,2 --save sweeps/face.yaml"
    other = "benchfleet run sweeps/quickstart.yaml --variants int8 --set measure.seconds_max=5"
    again = "benchfleet run sweeps/quickstart.yaml --missing"
    app.command(epilog=examples(of_sweep, of_files, other, again, title="Examples:"))(run)


@shares((*SESSIONS, *SWEEP_FILES), has_cases=True)
def run(
    call: Call,
    what: What,
    select: Select = "all",
    detach: Annotated[bool, typer.Option("--detach", help="Leave as soon as every device runs.")] = False,
    wait: Wait = False,
    reservation: Reservation = None,
    variants: Variants = None,
    runtimes: Runtimes = None,
    threads: Threads = None,
    trials: Trials = None,
    sets: Sets = None,
    missing: Missing = False,
    stale: Stale = None,
    save: Save = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Call the run so.", show_default=False)
    ] = None,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Why the run is made.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be repeated.", show_default=False)
    ] = None,
) -> None:
    """Run a sweep on devices and follow it to its end.

    Of model files, a sweep is made first, and printed. Devices run by themselves: Ctrl-C leaves devices running, and
    `benchfleet runs follow last` picks them up. With --missing or --stale and nothing left to run, no run is made.
    """
    from orchestrator.services.runs.incremental import read_increment
    from orchestrator.services.runs.start import StartRequest, start
    from orchestrator.services.runs.words import WordsRequest

    overrides, increment = overrides_of(sets, variants, runtimes, threads, trials), read_increment(missing, stale)
    own = own_request(what, overrides, save)
    # Before anything is made or asked of a device: a run under a wrong name would have to be deleted.
    words = WordsRequest(name, note, tag or ()).read()
    with following(call) as (wiring, shows):
        if not wiring.settings.inventory and call.is_watched:
            typer.echo(_NO_LAB, err=True)
        request = StartRequest(what[0], select, detach, wait, reservation, overrides, words, increment)
        if own is not None:
            request = _of_files(request, own, wiring, call)
        try:
            details = start(request, wiring, shows, _say)
        except NothingToRun as end:
            _say(str(end))
            return
    code = request.exit_code(details)
    left = detach and code is ExitCode.FINE
    # Whoever detaches has no results yet: a person reads the line below instead of an empty report.
    if not (left and call.for_people):
        show_run(details, call)
    if left:
        typer.echo(_detached(details), err=True)
    leave(code)
    # Only for somebody at a terminal: a log or a pipe has no use for advice.
    if not detach and call.is_watched and sys.stderr.isatty():
        _say_what_next(details)


def _of_files(request: StartRequest, own: OwnSweepRequest, wiring: Wiring, call: Call) -> StartRequest:
    """Return the request for the sweep that is made of model files."""
    # Before anything is written: without devices there is nothing to run.
    wiring.inventory().select(request.select)
    # What was asked for is in the made sweep.
    made = written_sweep(own, wiring, call, "run")
    return replace(request, sweep=made.path, origin=own.origin, overrides=())


def _say(words: str) -> None:
    typer.echo(words, err=True)


def _detached(details: RunDetails) -> str:
    devices = len(details.record.devices)
    where = "1 device" if devices == 1 else f"{devices} devices"
    return f"detached, on {where}; follow it with: benchfleet runs follow {details.record.header.run}"


def _say_what_next(details: RunDetails) -> None:
    from orchestrator.reporting.tables.runs import comparison_to_try

    command = comparison_to_try(details.results)
    if command is not None:
        typer.echo(f"now: {command}", err=True)
