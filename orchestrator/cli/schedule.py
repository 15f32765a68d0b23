"""Offer `benchfleet schedule`: have runs submitted again and again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DATABASE, FLEET, SWEEP_FILES, Call, InWindow, Select, examples, shares
from orchestrator.cli.overriding import Missing, Runtimes, Sets, Stale, Threads, Trials, Variants, overrides_of

if TYPE_CHECKING:
    from orchestrator.domain.schedule import Schedule

app = typer.Typer(
    no_args_is_help=True, help="Have runs submitted again and again: add, list, pause, resume, remove schedules."
)

Cron = Annotated[
    str,
    typer.Option(
        "--cron",
        metavar="EXPR",
        help="Minute, hour, day of month, month, day of week, such as '0 22 * * mon-fri'.",
        show_default=False,
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone",
        metavar="ZONE",
        help="The time zone, such as Europe/Berlin.  [default: this machine's]",
        show_default=False,
    ),
]
Jitter = Annotated[
    str | None,
    typer.Option(
        "--jitter",
        metavar="LENGTH",
        help="Fire up to so much later, always by the same length: keeps schedules of a minute apart.",
        show_default=False,
    ),
]
Overlapping = Annotated[
    str,
    typer.Option("--overlap", metavar="RULE", help="While an earlier run of the schedule is not over: skip or queue."),
]
MissedOnes = Annotated[
    str,
    typer.Option(
        "--missed", metavar="RULE", help="Moments at which no daemon was there: run (once for all of them) or skip."
    ),
]
NewName = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Call the schedule and its runs so.  [default: the sweep's name]",
        show_default=False,
    ),
]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why the runs are made.", show_default=False)]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be repeated.", show_default=False)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.", show_default=False)]


@app.command(
    epilog=examples(
        "benchfleet schedule add sweeps/digits-full.yaml --cron '0 22 * * mon-fri' --name regressions",
        "benchfleet schedule add sweeps/quickstart.yaml --cron '0 */6 * * *' --jitter 10m --zone Europe/Berlin",
        title="Examples:",
    )
)
@shares((*FLEET, *SWEEP_FILES))
def add(
    call: Call,
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file.", show_default=False)],
    cron: Cron,
    zone: Zone = None,
    jitter: Jitter = None,
    overlap: Overlapping = "skip",
    missed: MissedOnes = "run",
    select: Select = "all",
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Higher goes first, from -100 to 100.")] = 0,
    window: InWindow = None,
    variants: Variants = None,
    runtimes: Runtimes = None,
    threads: Threads = None,
    trials: Trials = None,
    sets: Sets = None,
    missing: Missing = False,
    stale: Stale = None,
    name: NewName = None,
    note: Note = None,
    tag: Tags = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change the schedule of that name.")] = False,
) -> None:
    """Have daemons submit a sweep at the moments of a cron expression.

    The sweep is sent as it is now, with models, data sets and programs: each run measures these bytes. --replace sends
    them anew. A time of day that a change of the clocks leaves out comes right behind the gap, and a time that comes
    twice counts once. What --missing and --stale leave out is decided when a run begins.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.duration import parse_duration_s
    from orchestrator.domain.schedule import Missed, Overlap, Rhythm, checked_jitter_s, rule_of
    from orchestrator.domain.zone import local_zone
    from orchestrator.services.queue import schedules
    from orchestrator.services.runs.incremental import read_increment
    from orchestrator.services.runs.words import WordsRequest

    words = WordsRequest(name, note, tag or ()).read()
    jitter_s = 0 if jitter is None else checked_jitter_s(parse_duration_s(jitter, "--jitter"))
    rules = rule_of(Overlap, overlap, "--overlap"), rule_of(Missed, missed, "--missed")
    rhythm = Rhythm(cron, zone or local_zone(), jitter_s, *rules)
    overrides = overrides_of(sets, variants, runtimes, threads, trials)
    request = schedules.ScheduleRequest(
        sweep, rhythm, select, priority, overrides, words, replace, read_increment(missing, stale), window
    )
    with Wiring(call.settings()) as wiring:
        made = schedules.add(request, wiring, lambda line: typer.echo(line, err=True) if call.is_watched else None)
    _show(call, made)
    if call.is_watched:
        typer.echo(f"see when with: benchfleet schedule next {made.name}", err=True)


@app.command("list", epilog=examples("benchfleet schedule list"))
@shares(DATABASE)
def list_(call: Call) -> None:
    """List schedules: when each fires next, and what its last firing made."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.schedules import schedules_report

    with Wiring(call.settings()) as wiring:
        now, found = wiring.store.daemons.now(), wiring.store.schedules.schedules()
    if found or not call.for_people:
        call.show(schedules_report(found, now))
    else:
        typer.echo(
            "there are no schedules; benchfleet schedule add SWEEP --cron EXPR (or is it another --db?)", err=True
        )


@app.command(epilog=examples("benchfleet schedule remove regressions"))
@shares(DATABASE)
def remove(call: Call, name: Name) -> None:
    """Remove a schedule. Runs that it has submitted stay in the queue."""
    from orchestrator.bootstrap import Wiring

    with Wiring(call.settings()) as wiring:
        _show(call, wiring.store.schedules.remove_schedule(name))


@app.command(epilog=examples("benchfleet schedule pause regressions"))
@shares(DATABASE)
def pause(call: Call, name: Name) -> None:
    """Keep a schedule from firing, until `schedule resume`."""
    from orchestrator.bootstrap import Wiring

    with Wiring(call.settings()) as wiring:
        _show(call, wiring.store.schedules.pause_schedule(name))


@app.command(epilog=examples("benchfleet schedule resume regressions"))
@shares(DATABASE)
def resume(call: Call, name: Name) -> None:
    """Let a paused schedule fire again. What fell into the pause is not made up for."""
    from orchestrator.bootstrap import Wiring

    with Wiring(call.settings()) as wiring:
        _show(call, wiring.store.schedules.resume_schedule(name))


@app.command("next", epilog=examples("benchfleet schedule next regressions --count 3"))
@shares(DATABASE)
def next_(
    call: Call,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The schedule's name; all without one.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, metavar="N", help="So many of each.")] = 5,
) -> None:
    """Tell the next moments at which schedules fire, in their own time zones."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.schedules import moments_report
    from orchestrator.services.queue.schedules import next_firings

    with Wiring(call.settings()) as wiring:
        found = next_firings(name, count, wiring)
    call.show(moments_report(found))


def _show(call: Call, one: Schedule) -> None:
    from orchestrator.reporting.reports.schedules import schedule_report

    call.show(schedule_report(one))
