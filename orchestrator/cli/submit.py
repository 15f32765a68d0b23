"""Offer `benchfleet submit`: put a run into the queue, with everything that it needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from orchestrator.cli.options import FLEET, SWEEP_FILES, Call, InWindow, Select, examples, shares
from orchestrator.cli.overriding import Missing, Runtimes, Sets, Stale, Threads, Trials, Variants, overrides_of
from orchestrator.cli.own_models import Save, What, own_request, written_sweep


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    later = "benchfleet submit sweeps/digits-full.yaml --not-before 22:00 --priority -1"
    files = "benchfleet submit face.tflite --threads 1,2 --name face"
    app.command(epilog=examples("benchfleet submit sweeps/quickstart.yaml", later, files, title="Examples:"))(submit)


@shares((*FLEET, *SWEEP_FILES))
def submit(
    call: Call,
    what: What,
    select: Select = "all",
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Higher goes first, from -100 to 100.")] = 0,
    not_before: Annotated[
        str | None,
        typer.Option(
            "--not-before",
            metavar="WHEN",
            help="Begin no earlier: 22:00, 2026-12-24T22:00 (local times), or 8h from now.",
            show_default=False,
        ),
    ] = None,
    window: InWindow = None,
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
    """Submit a run for a daemon to carry out, with models, data sets and programs.

    Everything is in the database then: this machine is not needed any more. The selector means devices of the daemon's
    inventory. A submission that was cut off is given again, and goes on with what is missing. Of model files, a sweep
    is made first, as by `run`. What --missing and --stale leave out is decided when the run begins.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.queue import submission_report
    from orchestrator.services.queue.submit import SubmitRequest, read_not_before
    from orchestrator.services.queue.submit import submit as put
    from orchestrator.services.runs.incremental import read_increment
    from orchestrator.services.runs.words import WordsRequest

    words = WordsRequest(name, note, tag or ()).read()
    begin = None if not_before is None else read_not_before(not_before)
    overrides = overrides_of(sets, variants, runtimes, threads, trials)
    own, increment = own_request(what, overrides, save), read_increment(missing, stale)
    request = SubmitRequest(what[0], select, priority, begin, overrides, words, increment, window)
    with Wiring(call.settings()) as wiring:
        if own is not None:
            # What was asked for is in the made sweep.
            swept = written_sweep(own, wiring, call, "submit")
            request = replace(request, sweep=swept.path, origin=own.origin, overrides=())
        made = put(request, wiring, lambda line: typer.echo(line, err=True) if call.is_watched else None)
    call.show(submission_report(made))
    if call.is_watched:
        typer.echo("see it with: benchfleet queue", err=True)
