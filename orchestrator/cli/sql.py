"""`benchfleet sql`: plain SQL over the history."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli.options import Config, Db, Json, examples


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


EXAMPLE = """\
benchfleet sql "SELECT device, variant, runtime, settings, metric, value
    FROM v_latest WHERE kind = 'measure'"\
"""


def add_to(app: typer.Typer) -> None:
    """Add the command to the tree."""
    app.command(epilog=examples(EXAMPLE))(sql)


def sql(
    statement: Annotated[str, typer.Argument(metavar="STATEMENT", help="One SELECT, or - for standard input.")],
    form: Annotated[Format, typer.Option("--format", metavar="NAME", help="table, csv or json.")] = Format.TABLE,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many rows.")] = None,
    db: Db = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run one SQL statement that only reads.

    The connection itself cannot write. v_latest has the newest value of each cell and metric, v_history every trial of
    every run; docs/schema.md lists all views and tables.
    """
    from orchestrator import bootstrap
    from orchestrator.reporting.console import print_result
    from orchestrator.reporting.rows import row_table, write_csv, write_json

    text = sys.stdin.read() if statement == "-" else statement
    with bootstrap.sql_console(bootstrap.settings(db=db, config=config)) as console:
        columns, rows = console.query(text, limit)
        if as_json or form is Format.JSON:
            write_json(sys.stdout, columns, rows)
        elif form is Format.CSV:
            write_csv(sys.stdout, columns, rows)
        else:
            print_result(row_table(columns, rows))
