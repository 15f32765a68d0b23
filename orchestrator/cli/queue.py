"""Offer `benchfleet queue`: look at the queue, and move, hold, release and cancel what is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares

if TYPE_CHECKING:
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.submission import Submission

app = typer.Typer(help="Look at submitted runs; move, hold, release and cancel them.")

Submitted = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, a unique beginning of it, or its name.", show_default=False)
]


@app.callback(invoke_without_command=True)
def _queue(context: typer.Context) -> None:
    """Look at submitted runs; move, hold, release and cancel them.

    Without a command: the same as `queue list`.
    """
    if context.invoked_subcommand is None:
        list_()


@app.command("list", epilog=examples("benchfleet queue list --over 5"))
@shares(DATABASE)
def list_(
    call: Call,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Show a person at most so many.")] = 50,
    over: Annotated[
        int, typer.Option("--over", min=0, metavar="N", help="The newest N that are over, too.", show_default=False)
    ] = 0,
) -> None:
    """List submitted runs in the order of the queue: why each waits, and when it may begin.

    Times come from trials of the same cells on the same device. Where a cell was never measured they are unknown.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.queue import queue_report
    from orchestrator.services.queue.looking import look

    with Wiring(call.settings()) as wiring:
        view = look(wiring.store, over)
    # A program gets an empty list. A person is told how a queue begins.
    if view.entries or view.daemons or not call.for_people:
        call.show(queue_report(view, limit))
    else:
        typer.echo("the queue is empty; benchfleet submit SWEEP fills it (or is it another --db?)", err=True)


@app.command(epilog=examples("benchfleet queue move 20261130-2215 --priority 5"))
@shares(DATABASE)
def move(
    call: Call,
    run: Submitted,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", help="Another priority.", show_default=False)
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="Before all others of yours at that priority.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Behind all others of yours at that priority.")] = False,
) -> None:
    """Give a submitted run another place in the queue."""
    from orchestrator.services.queue import looking

    request = looking.MoveRequest(run, priority, first, last)
    _change(call, lambda wiring: looking.move(request, wiring))


@app.command(epilog=examples("benchfleet queue hold 20261130-2215 --reason 'fan is being replaced'"))
@shares(DATABASE)
def hold(
    call: Call,
    run: Submitted,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; others see it.", show_default=False)
    ] = None,
) -> None:
    """Keep a submitted run from beginning, until `queue release`."""
    from orchestrator.services.queue import looking

    _change(call, lambda wiring: looking.hold(run, reason, wiring))


@app.command(epilog=examples("benchfleet queue release 20261130-2215"))
@shares(DATABASE)
def release(call: Call, run: Submitted) -> None:
    """Let a held run wait for its turn again."""
    from orchestrator.services.queue import looking

    _change(call, lambda wiring: looking.release(run, wiring))


@app.command(epilog=examples("benchfleet queue cancel 20261130-2215"))
@shares(DATABASE)
def cancel(call: Call, run: Submitted) -> None:
    """Cancel a submitted run. A run that goes on is ended by its daemon, and keeps its finished trials."""
    from orchestrator.services.queue import looking

    _change(call, lambda wiring: looking.cancel(run, wiring))


def _change(call: Call, change: Callable[[Wiring], Submission]) -> None:
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.queue import submission_report

    with Wiring(call.settings()) as wiring:
        changed = change(wiring)
    call.show(submission_report(changed))
