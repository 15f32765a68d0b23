"""Offer `benchfleet sql`: plain SQL over the history."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orchestrator.cli.options import DATABASE, Call, examples, shares

EXAMPLE = """\
benchfleet sql "SELECT device, variant, runtime, settings, metric, value
    FROM v_latest WHERE kind = 'measure'"\
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples(EXAMPLE))(sql)


@shares(DATABASE)
def sql(
    call: Call,
    statement: Annotated[str, typer.Argument(metavar="STATEMENT", help="One SELECT, or - for standard input.")],
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many rows.")] = None,
) -> None:
    """Run one SQL statement that only reads.

    The connection itself cannot write. v_latest has the newest value of each cell and metric, v_cell those of each run,
    v_history every trial of every run; benchfleet db schema lists all views and tables.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.sql_rows import rows_report

    text = sys.stdin.read() if statement == "-" else statement
    with Wiring(call.settings()) as wiring:
        columns, rows = wiring.sql_console().query(text, limit)
        # Inside the context: rows are still on their way from the database.
        call.show(rows_report(columns, rows))
