"""Offer `benchfleet history`: series over time."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Runs begun since then: a date such as 2026-11-28, in UTC, or an age such as 30d.  [default: all]",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="WHEN", help="Runs begun by the end of that day, or before that age.", show_default=False
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(
        epilog=examples("benchfleet history 'device=pi-03,variant=int8' --metric p99 --since 90d", title="By rule:")
        + "\n\n"
        + examples("benchfleet history 7 --json")
    )(history)


@shares(DATABASE)
def history(
    call: Call,
    series: Annotated[
        list[str],
        typer.Argument(
            metavar="SERIES...",
            help="Ids, the words of a table, or rules of device, model, variant, runtime and settings, with globs.",
        ),
    ],
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Which metric, such as latency, p99, energy or accuracy.")
    ] = "latency",
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=5000, metavar="N", help="At most so many runs of each, the newest.")
    ] = 365,
) -> None:
    """Show series over time, and what changed around them.

    For each run: the geometric mean over trials with its 95 % interval.

    A series is the same cell in all runs of a device. Marked are steps to another level, regressions on record, changes
    of environment, artifact, runtime and worker, and notes of people. The baseline is a broken line.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.series_history import history_report
    from orchestrator.services.history.over_time import HistoryRequest, series_over_time
    from orchestrator.services.history.window import read_window

    with Wiring(call.settings(), needs_database=True) as wiring:
        found = series_over_time(HistoryRequest(series, metric, read_window(since, until, limit)), wiring)
    call.show(history_report(found))
