"""Offer `benchfleet run`: execute a sweep, or a sweep made of model files."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.following import following, show_run
from orchestrator.cli.options import SESSIONS, SWEEP_FILES, Call, Reservation, Select, Wait, examples, shares
from orchestrator.cli.overriding import Runtimes, Sets, Threads, Trials, Variants, overrides_of
from orchestrator.domain.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.run_details import RunDetails
    from orchestrator.services.runs.own import OwnSweep, OwnSweepRequest

What = Annotated[
    list[Path],
    typer.Argument(
        metavar="SWEEP|FILE…", help="A sweep file; or model files (.tflite, .onnx, .keras, .h5), or folders of them."
    ),
]
Save = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", help="Of model files: keep the sweep here, and the model in models."),
]

_NO_LAB = (
    "no inventory here: this machine is the device `local`. benchfleet init DIR writes a lab, for other devices too"
)


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    of_sweep = "benchfleet run sweeps/quickstart.yaml --select 'class=rpi'"
    of_files = "benchfleet run face.tflite --threads 1,2 --save sweeps/face.yaml"
    other = "benchfleet run sweeps/quickstart.yaml --variants int8 --set measure.seconds_max=5"
    app.command(epilog=examples(of_sweep, of_files, other, title="Examples:"))(run)


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
    `benchfleet runs follow last` picks them up.
    """
    from orchestrator.services.runs.own import OwnSweepRequest, is_own
    from orchestrator.services.runs.start import StartRequest, start
    from orchestrator.services.runs.words import WordsRequest

    overrides = overrides_of(sets, variants, runtimes, threads, trials)
    own = OwnSweepRequest(what, overrides, save) if is_own(what) else None
    if own is None and save is not None:
        raise ConfigError(f"--save is for model files, and {what[0]} is a sweep", hint="copy the file")
    # Before anything is made or asked of a device: a run under a wrong name would have to be deleted.
    words = WordsRequest(name, note, tag or ()).read()
    with following(call) as (wiring, shows):
        if not wiring.settings.inventory and call.is_watched:
            typer.echo(_NO_LAB, err=True)
        request = StartRequest(what[0], select, detach, wait, reservation, overrides, words)
        if own is not None:
            # What was asked for is in the made sweep.
            request = replace(request, sweep=_own_sweep(own, select, wiring, call).path, overrides=())
        details = start(request, wiring, shows)
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


def _own_sweep(request: OwnSweepRequest, select: str, wiring: Wiring, call: Call) -> OwnSweep:
    """Make the sweep of model files, and say on standard error what it is and how to keep it."""
    from orchestrator.services.runs.own import own_sweep
    from orchestrator.specs.reach import MODELS_FOLDER

    # Before anything is written: without devices there is nothing to run.
    wiring.inventory().select(select)
    made = own_sweep(request, wiring.settings.models or MODELS_FOLDER, wiring.settings.cache_dir)
    if call.is_watched:
        typer.echo(f"{made.text}\nsweep: {made.path}", err=True)
        for model in made.models:
            typer.echo(f"model: {model}", err=True)
        if request.save is None:
            typer.echo("keep them, to edit them: the same command with --save sweeps/NAME.yaml", err=True)
        else:
            typer.echo(f"again: benchfleet run {shlex.quote(str(made.path))}", err=True)
    return made


def _detached(details: RunDetails) -> str:
    devices = len(details.record.devices)
    where = "1 device" if devices == 1 else f"{devices} devices"
    return f"detached, on {where}; follow it with: benchfleet runs follow {details.record.header.run}"


def _say_what_next(details: RunDetails) -> None:
    from orchestrator.reporting.tables.runs import comparison_to_try

    command = comparison_to_try(details.results)
    if command is not None:
        typer.echo(f"now: {command}", err=True)
