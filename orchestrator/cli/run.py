"""Offer `benchfleet run`: execute a sweep, or a sweep made of model files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.following import following, show_run
from orchestrator.cli.options import SESSIONS, SWEEP_FILES, Call, Reservation, Select, Wait, examples, shares
from orchestrator.domain.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.run_details import RunDetails
    from orchestrator.services.runs.own import OwnSweep, OwnSweepRequest

What = Annotated[
    list[Path],
    typer.Argument(metavar="SWEEP|FILE…", help="A sweep file; or model files (.tflite, .onnx), or folders of them."),
]
Runtimes = Annotated[
    str | None,
    typer.Option("--runtimes", metavar="NAMES", help="Of model files: runtimes, by commas.  [default: the usual ones]"),
]
Threads = Annotated[
    str | None, typer.Option("--threads", metavar="COUNTS", help="Of model files: threads, such as 1,2.  [default: 1]")
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials", min=1, max=1000, metavar="N", help="Of model files: trials of each cell.  [default: 5]",
        show_default=False,
    ),
]  # fmt: skip
Save = Annotated[
    Path | None,
    typer.Option("--save", metavar="FILE", help="Of model files: keep the sweep here, and the model in models."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    of_sweep = "benchfleet run sweeps/quickstart.yaml --select 'class=rpi'"
    of_files = "benchfleet run face.tflite --threads 1,2 --save sweeps/face.yaml"
    app.command(epilog=examples(of_sweep, of_files, title="Examples:"))(run)


@shares((*SESSIONS, *SWEEP_FILES), has_cases=True)
def run(
    call: Call,
    what: What,
    select: Select = "all",
    detach: Annotated[bool, typer.Option("--detach", help="Leave as soon as every device runs.")] = False,
    wait: Wait = False,
    reservation: Reservation = None,
    runtimes: Runtimes = None,
    threads: Threads = None,
    trials: Trials = None,
    save: Save = None,
) -> None:
    """Run a sweep on devices and follow it to its end.

    Of model files, a sweep is made first, and printed. Devices run by themselves: Ctrl-C leaves devices running, and
    `benchfleet runs follow last` picks them up.
    """
    from orchestrator.services.runs.start import StartRequest, start

    options = {"--runtimes": runtimes, "--threads": threads, "--trials": trials, "--save": save}
    own = _own_request(what, {name: value for name, value in options.items() if value is not None})
    with following(call) as (wiring, shows):
        sweep = what[0] if own is None else _own_sweep(own, select, wiring, call).path
        request = StartRequest(sweep, select, detach, wait, reservation)
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


def _own_request(what: Sequence[Path], options: Mapping[str, Any]) -> OwnSweepRequest | None:
    """Return the request for a sweep of model files, None for a sweep file."""
    from orchestrator.services.runs.own import OwnSweepRequest, is_own

    if not is_own(what):
        if options:
            name = next(iter(options))
            raise ConfigError(f"{name} is for model files, and {what[0]} is a sweep", hint="write it into the sweep")
        return None
    wanted = OwnSweepRequest(what, save=options.get("--save"))
    if "--runtimes" in options:
        wanted = replace(wanted, runtimes=[name.strip() for name in options["--runtimes"].split(",")])
    if "--threads" in options:
        wanted = replace(wanted, threads=_counts(options["--threads"]))
    return replace(wanted, trials=options.get("--trials", wanted.trials))


def _counts(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 0 < len(word) < 5 and int(word) for word in words):
        raise ConfigError(f"--threads {text}: expected counts from 1 on, by commas", hint="such as --threads 1,2,4")
    return [int(word) for word in words]


def _own_sweep(request: OwnSweepRequest, select: str, wiring: Wiring, call: Call) -> OwnSweep:
    """Make the sweep of model files, and say on standard error what it is and how to keep it."""
    from orchestrator.services.runs.own import own_sweep
    from orchestrator.specs.reach import MODELS_FOLDER

    # Before anything is written: without devices there is nothing to run.
    wiring.inventory().select(select)
    made = own_sweep(request, wiring.settings.models or MODELS_FOLDER, wiring.settings.cache_dir)
    if call.is_watched:
        typer.echo(f"{made.text}\nsweep: {made.path}\nmodel: {made.model}", err=True)
        if request.save is None:
            typer.echo("keep both, to edit them: the same command with --save sweeps/NAME.yaml", err=True)
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
