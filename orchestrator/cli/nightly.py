"""Offer `benchfleet nightly`: run a night, and list and show nights."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.ending import leave
from orchestrator.cli.following import following
from orchestrator.cli.options import DATABASE, SESSIONS, SWEEP_FILES, Call, Wait, examples, shares
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.message import Delivery

app = typer.Typer(no_args_is_help=True, help="Run nights, which judge a build; list and show nights.")

NightlyPath = Annotated[
    Path, typer.Argument(metavar="NIGHTLY", help="A nightly file, as `benchfleet init` writes one.")
]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write the night into this HTML file too: charts, SQL and commands, without network and scripts.",
        show_default=False,
    ),
]
NightName = Annotated[
    str, typer.Argument(metavar="NIGHT", help="A night's id, a unique beginning of it, or 'last', the newest.")
]


@app.command(epilog=examples("benchfleet nightly run nightly.yaml"))
@shares((*SESSIONS, *SWEEP_FILES), has_cases=True)
def run(
    call: Call,
    file: NightlyPath,
    again: Annotated[bool, typer.Option("--again", help="Begin another night, though there is one of today.")] = False,
    allow_command: Annotated[
        bool, typer.Option("--allow-command", help="Let the file's candidate command run on this machine.")
    ] = False,
    wait: Wait = False,
    html: Html = None,
) -> None:
    """Run a night: measure, and judge each cell.

    Canaries come first, then a look at every cell beside the cell's history, then reruns of suspect cells. A regression
    needs a rerun beside the baseline, on the same device in the same night. After Ctrl-C or a power cut the same
    command goes on with the night of the day.

    Exits 0 for a clean night, 1 for a confirmed regression, 3 for an incomplete night, 4 if no device could be used.
    """
    from orchestrator.services.nights.run import NightRequest, run_night
    from orchestrator.services.nights.telling import addresses, check_outputs, tell, write_outputs

    request = NightRequest(file, again, allow_command, wait)
    goes_on_by = shlex.join(["benchfleet", "nightly", "run", str(file), *["--allow-command"] * allow_command])
    with following(call, goes_on_by) as (wiring, shows):
        nightly = wiring.nightly_file(file).nightly
        # Before hours of measuring: a night must not end without anybody hearing of it.
        to = addresses(nightly, wiring)
        check_outputs(nightly, html)
        report = run_night(request, wiring, shows, says=lambda words: _say(call, words))
        unwritten = write_outputs(nightly, report, html)
        _complain_of(tell(nightly, to, wiring))
    from orchestrator.reporting.reports.night import night_report

    call.show(night_report(report))
    for error in unwritten:
        typer.echo(f"error: {error}", err=True)
    # The verdict comes first: a regression must not hide behind a full disk.
    leave(report.exit_code or (ExitCode.INFRASTRUCTURE if unwritten else ExitCode.FINE))


def _say(call: Call, words: str) -> None:
    if call.is_watched:
        typer.echo(words, err=True)


def _complain_of(deliveries: Iterable[Delivery]) -> None:
    for one in deliveries:
        # A lost message changes no exit code: the night's verdict stands.
        if one.failure is not None:
            typer.echo(f"{one.recipient}: not told: {one.failure}", err=True)


@app.command("list", epilog=examples("benchfleet nightly list --limit 5"))
@shares(DATABASE)
def list_(
    call: Call,
    nightly: Annotated[
        str | None, typer.Option("--nightly", metavar="NAME", help="Only nights of this nightly.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")] = 20,
) -> None:
    """List nights, newest first."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.night_list import night_list_report
    from orchestrator.services.nights.show import list_nights

    with Wiring(call.settings()) as wiring:
        store = wiring.store_if_there()
        nights = [] if store is None else list_nights(store, nightly, limit)
    # A program gets an empty list. A person is told how a night begins.
    if nights or not call.for_people:
        call.show(night_list_report(nights))
    else:
        typer.echo("no night yet; benchfleet nightly run NIGHTLY makes the first one (or another --db?)", err=True)


@app.command("show", epilog=examples("benchfleet nightly show last"))
@shares(DATABASE, has_cases=True)
def show_(call: Call, night: NightName, html: Html = None) -> None:
    """Show a night: verdicts, figures and reasons.

    Exits as the night did.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.night import night_report
    from orchestrator.services.nights.show import show_night

    with Wiring(call.settings(), needs_database=True) as wiring:
        report = show_night(wiring.store, night)
    if html is not None:
        from orchestrator.reporting.nights.files import HTML, write_night

        write_night(report, HTML, html)
    call.show(night_report(report))
    leave(report.exit_code or ExitCode.FINE)
