"""Offer what people say about runs: notes, tags, exclusions and deletions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.asking import confirmed
from orchestrator.cli.ending import leave
from orchestrator.cli.options import DATABASE, Call, RunName, examples, shares
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.run import RunRecord


def add_to(app: typer.Typer) -> None:
    """Add the commands to those of runs."""
    app.command(epilog=examples("benchfleet runs note last 'with the new heat sink'"))(note)
    app.command(epilog=examples("benchfleet runs tag last branch=main reviewed=yes --remove draft"))(tag)
    app.command(epilog=examples("benchfleet runs exclude last --reason 'the window stood open'"))(exclude)
    app.command(epilog=examples("benchfleet runs include last"))(include)
    app.command(epilog=examples("benchfleet runs delete 20261128-0301"))(delete)


@shares(DATABASE)
def note(
    call: Call, run: RunName, text: Annotated[str, typer.Argument(metavar="TEXT", help="The note: one line.")]
) -> None:
    """Write the note of a run, in the place of an earlier note."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_words import said_report
    from orchestrator.services.runs import words

    with Wiring(call.settings(), needs_database=True) as wiring:
        record = words.note(run, text, wiring)
    call.show(said_report(record))


@shares(DATABASE)
def tag(
    call: Call,
    run: RunName,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Tags to set.")] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="KEY", help="A tag to remove; may be repeated.", show_default=False),
    ] = None,
) -> None:
    """Set and remove tags of a run."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_words import said_report
    from orchestrator.services.runs import words

    with Wiring(call.settings(), needs_database=True) as wiring:
        record = words.tag(run, tags or (), remove or (), wiring)
    call.show(said_report(record))


@shares(DATABASE)
def exclude(
    call: Call,
    run: RunName,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="What is wrong; others are told.")],
) -> None:
    """Leave a run out of views, histories, baselines, and comparisons by date.

    Tables keep the run, and its id still names it.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_words import said_report
    from orchestrator.services.runs import words

    with Wiring(call.settings(), needs_database=True) as wiring:
        record = words.exclude(run, reason, wiring)
    call.show(said_report(record))
    if call.is_watched:
        typer.echo(f"to let it count again: benchfleet runs include {record.header.run}", err=True)


@shares(DATABASE)
def include(call: Call, run: RunName) -> None:
    """Let an excluded run count again."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_words import said_report
    from orchestrator.services.runs import words

    with Wiring(call.settings(), needs_database=True) as wiring:
        record = words.include(run, wiring)
    call.show(said_report(record))


@shares(DATABASE)
def delete(
    call: Call, run: RunName, yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False
) -> None:
    """Delete a run with all its measurements, for good.

    Refused for a run under way, for the run of a baseline, and for the evidence of a regression. Who deleted which run
    stays on record.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.run_words import deletion_report
    from orchestrator.services.runs import words

    def agreed(record: RunRecord) -> bool:
        called = f" ({record.words.name})" if record.words.name else ""
        question = f"run {record.header.run}{called} of sweep {record.header.sweep}: delete all measurements for good?"
        return yes or confirmed(question)

    with Wiring(call.settings(), needs_database=True) as wiring:
        deletion = words.delete(run, wiring, agreed)
    if deletion is None:
        typer.echo("nothing was deleted", err=True)
        leave(ExitCode.USAGE)
    else:
        call.show(deletion_report(deletion))
