"""Offer `benchfleet runs`: list, show, follow, resume, cancel, describe and delete runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from orchestrator.cli import run_samples, run_score, run_words
from orchestrator.cli.ending import leave
from orchestrator.cli.following import following, show_run
from orchestrator.cli.options import (
    DATABASE,
    SESSIONS,
    SWEEP_FILES,
    Call,
    Reservation,
    RunName,
    Select,
    Wait,
    examples,
    shares,
)
from orchestrator.domain.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="List, show, follow, resume, describe and delete runs.")


_Named = Annotated[str | None, typer.Option(metavar="NAME", help="Of this name; * and ? work.", show_default=False)]


@app.command("list", epilog=examples("benchfleet runs list --device 'pi-*' --since 7d --tag branch=main"))
@shares(DATABASE)
def list_(
    call: Call,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 20,
    sweep: _Named = None,
    device: _Named = None,
    model: _Named = None,
    name: _Named = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="active, complete, incomplete or cancelled.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Begun since a date, or an age such as 7d.", show_default=False),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY[=VALUE]", help="With this tag; may be repeated.", show_default=False),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Excluded runs too.")] = False,
) -> None:
    """List runs, newest first. All conditions must hold."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_list import run_list_report
    from orchestrator.services.runs.listing import ListRequest

    request = ListRequest(sweep, device, model, name, state, since, tuple(tag or ()), all_)
    wanted = request.read()
    with Wiring(call.settings()) as wiring:
        runs = wiring.list_runs(limit, wanted)
        has_excluded = not runs and bool(wiring.list_runs(1, replace(wanted, excluded=True)))
    # A program gets an empty list. A person is told how a run begins.
    if runs or not call.for_people:
        call.show(run_list_report(runs))
    elif has_excluded:
        typer.echo("every such run is excluded: benchfleet runs list --all lists excluded runs too", err=True)
    elif request.narrows:
        typer.echo("no run matches", err=True)
    else:
        typer.echo("no run yet; benchfleet run SWEEP makes the first one (or is it another --db?)", err=True)


@app.command(
    "show",
    epilog=examples("benchfleet runs show last --cell 'device=pi-03,variant=int8'", title="A cell in full:")
    + "\n\n"
    + examples("benchfleet runs show last"),
)
@shares(DATABASE, has_cases=True)
def show_(
    call: Call,
    run: RunName,
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell",
            metavar="RULE",
            help="Instead, every attempt of these cells with its conditions, the distribution of raw samples, and how "
            "to measure the cell again; such as 'device=pi-03,variant=int8', and globs work.",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="With --cell: which metric.  [default: latency]"),
    ] = None,
) -> None:
    """Show a run: devices, results, and what is missing and why.

    Exits 3 if anything is missing, 4 if no device could be used. With --cell it exits 0 if there is such a cell.
    """
    if cell is not None:
        _show_cells(call, run, cell, metric or "latency")
        return
    if metric is not None:
        raise ConfigError("--metric goes with --cell alone", "benchfleet compare RUN --metric NAME compares cells")
    from orchestrator.bootstrap import Wiring
    from orchestrator.services.runs.show import show

    with Wiring(call.settings(), needs_database=True) as wiring:
        details = show(run, wiring.store)
    show_run(details, call)
    leave(details.exit_code)


def _show_cells(call: Call, run: str, cell: str, metric: str) -> None:
    if call.format == "junit":
        raise ConfigError("--cell has no junit output", "a cell's attempts are no cases; --format csv lists them")
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.cell_details import cells_report
    from orchestrator.services.runs.cell import CellRequest, show_cells

    with Wiring(call.settings(), needs_database=True) as wiring:
        found = show_cells(CellRequest(run, cell, metric), wiring)
    call.show(cells_report(found))


@app.command(
    epilog=examples(
        "benchfleet runs profile last --cell variant=int8,device=pi-03 --against variant=fp32,device=pi-03",
        title="Two cells, kind by kind:",
    )
    + "\n\n"
    + examples("benchfleet runs profile last --cell variant=int8,device=pi-03")
)
@shares(DATABASE)
def profile(
    call: Call,
    run: RunName,
    cell: Annotated[
        str,
        typer.Option(
            "--cell",
            metavar="RULE",
            help="Which cells, such as 'device=pi-03,variant=int8'; globs work.",
            show_default=False,
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="RULE",
            help="Set the cell beside this one, by kind of operator. Each rule names a single cell.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="Print so many operators of a cell at most.")
    ] = 15,
) -> None:
    """Show which operators of a model take the time, and where each ran.

    The sweep asks for profiles by `profile: operators`. A profile is a trial of its own that is never timed. Where a
    runtime tells nothing of its operators, the reason stands in place of the profile. docs/measuring.md
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.operator_profile import profile_pair_report, profiles_report
    from orchestrator.services.runs.profile import ProfileRequest, compare_profiles, show_profiles

    request = ProfileRequest(run, cell)
    with Wiring(call.settings(), needs_database=True) as wiring:
        if against is not None:
            report = profile_pair_report(compare_profiles(request, against, wiring))
        else:
            report = profiles_report(show_profiles(request, wiring), limit)
    call.show(report)


@app.command(epilog=examples("benchfleet runs follow last"))
@shares(SESSIONS, has_cases=True)
def follow(call: Call, run: RunName, select: Select = "all") -> None:
    """Collect the results of a run's devices, until every device is done."""
    from orchestrator.services.runs import pick_up

    request = pick_up.PickUpRequest(run, select)
    with following(call, needs_database=True) as (wiring, shows):
        details = pick_up.follow(request, wiring, shows)
    show_run(details, call)
    leave(details.exit_code)


@app.command(
    epilog=examples("benchfleet runs resume last --trials +5 --cells variant=int8,threads=1", title="More trials:")
    + "\n\n"
    + examples("benchfleet runs resume last")
)
@shares((*SESSIONS, *SWEEP_FILES), has_cases=True)
def resume(
    call: Call,
    run: RunName,
    select: Select = "all",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed and invalid trials again.")] = False,
    trials: Annotated[
        str | None,
        typer.Option(
            "--trials",
            metavar="+N",
            help="Extend the run by N trials of each cell, or with N alone to N trials of each cell. Repeated after an "
            "interruption, the command goes on, and adds nothing twice.",
            show_default=False,
        ),
    ] = None,
    cells: Annotated[
        list[str] | None,
        typer.Option(
            "--cells",
            metavar="RULE",
            help="With --trials: these cells alone, such as 'variant=int8,threads=1'; may be repeated, and globs work.",
            show_default=False,
        ),
    ] = None,
    wait: Wait = False,
    reservation: Reservation = None,
) -> None:
    """Complete a run after any kind of stop. Each trial counts once.

    Reattaches to devices at work, collects their results, and runs the missing trials.
    """
    from orchestrator.services.runs import pick_up
    from orchestrator.services.runs.extend import read_more_trials

    if cells and trials is None:
        raise ConfigError("--cells goes with --trials alone", "such as --trials +3; --select picks devices")
    more = None if trials is None else read_more_trials(trials, cells or ())
    request = pick_up.PickUpRequest(run, select, retry_failed, wait, reservation, more)
    with following(call, needs_database=True) as (wiring, shows):
        details = pick_up.resume(request, wiring, shows)
    show_run(details, call)
    leave(details.exit_code)


@app.command(epilog=examples("benchfleet runs cancel last"))
@shares(SESSIONS, has_cases=True)
def cancel(call: Call, run: RunName, select: Select = "all") -> None:
    """End a run on its devices, and keep finished trials."""
    from orchestrator.services.runs import pick_up

    request = pick_up.PickUpRequest(run, select)
    with following(call, needs_database=True) as (wiring, shows):
        details = pick_up.cancel(request, wiring, shows)
    show_run(details, call)
    leave(pick_up.cancel_exit_code(details))


run_samples.add_to(app)
run_score.add_to(app)
run_words.add_to(app)
