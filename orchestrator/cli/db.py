"""Offer `benchfleet db`: the schema of the database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.asking import confirmed
from orchestrator.cli.ending import leave
from orchestrator.cli.options import DATABASE, NO_SETTINGS, Call, examples, shares
from orchestrator.domain.errors import ExitCode

if TYPE_CHECKING:
    from orchestrator.domain.pruning import Pruning

app = typer.Typer(no_args_is_help=True, help="Upgrade, copy, prune and describe the database.")


@app.command(epilog=examples("benchfleet db upgrade --db postgresql://lab@db.example/benchfleet"))
@shares(DATABASE)
def upgrade(call: Call) -> None:
    """Create the schema, or upgrade it to this version.

    A database of SQLite is upgraded by every command that writes.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.database import schema_report

    call.show(schema_report(Wiring(call.settings()).upgrade_database()))


@app.command(epilog=examples("benchfleet db current"))
@shares(DATABASE)
def current(call: Call) -> None:
    """Print the schema's revision, and the revision of this version."""
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.database import schema_report

    call.show(schema_report(Wiring(call.settings()).database_revision()))


@app.command(epilog=examples("benchfleet db copy postgresql://lab@db.example/benchfleet --db benchfleet.db"))
@shares(DATABASE)
def copy(
    call: Call,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An empty database: a path or a URL, as --db has.")],
) -> None:
    """Copy everything into an empty database, of the same kind or of the other.

    So a lab moves from a file to PostgreSQL, or back. All rows arrive in one transaction and are compared there, or
    nothing is kept. What is copied is left as it is. docs/postgresql.md
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.database import copy_report

    with Wiring(call.settings()) as wiring:
        copied = wiring.copy_database(target, lambda table: _show_table(call, table))
    call.show(copy_report(copied))


@app.command(
    epilog=examples("benchfleet db prune --keep-raw 90d --dry-run", "benchfleet db prune --keep-raw 90d --yes")
)
@shares(DATABASE)
def prune(
    call: Call,
    keep_raw: Annotated[
        str, typer.Option("--keep-raw", metavar="AGE", help="Keep raw samples of runs that are younger, such as 90d.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Give the room back to the disk, too. Locks the database meanwhile.")
    ] = False,
) -> None:
    """Delete raw samples and power readings of old runs, for good. Summaries and verdicts stay.

    Runs of baselines and regressions keep theirs. Contents of submissions that were cut off more than a day ago go,
    too. Who pruned which run, and when, stays on record. A pruning that was interrupted is given again, and goes on.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.reporting.reports.database import pruning_report
    from orchestrator.services.results.prune import PruneRequest
    from orchestrator.services.results.prune import prune as pruned

    def agreed(expected: Pruning) -> bool:
        from orchestrator.reporting.tables.pruning import question

        return yes or confirmed(question(expected))

    with Wiring(call.settings(), needs_database=True) as wiring:
        pruning = pruned(PruneRequest(keep_raw, dry_run, vacuum), wiring, agreed)
    if pruning is None:
        typer.echo("nothing was deleted", err=True)
        leave(ExitCode.USAGE)
    else:
        call.show(pruning_report(pruning))


@app.command(epilog=examples("benchfleet db schema v_cell") + "\n\n" + examples("benchfleet db schema > schema.md"))
@shares(NO_SETTINGS, prints=False)
def schema(
    _call: Call,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Views and tables alone, such as v_cell.", show_default=False),
    ] = None,
) -> None:
    """Print what SQL can read: every view and table with each column, and examples."""
    from orchestrator.bootstrap import schema_reference

    sys.stdout.write(schema_reference(names or ()))


def _show_table(call: Call, table: str) -> None:
    if call.is_watched and sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[Kcopying {table}\r")
        sys.stderr.flush()


@app.command(epilog=examples("benchfleet db demo --db demo.db --devices 4 --series 10 --nights 60"))
@shares(DATABASE)
def demo(
    call: Call,
    devices: Annotated[int, typer.Option("--devices", min=1, max=1000, metavar="N", help="Number of devices.")] = 20,
    series: Annotated[int, typer.Option("--series", min=1, metavar="N", help="Cells of each device.")] = 30,
    nights: Annotated[int, typer.Option("--nights", min=1, max=3650, metavar="N", help="Number of nights.")] = 365,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Equal seeds give equal figures.")] = 1,
) -> None:
    """Fill an empty database with a made-up year.

    Pages and SQL can be tried on such a history. Devices are called demo-…, and every run says that nothing was
    measured. --db has to name the database: the lab's own database is never filled by accident.
    """
    from orchestrator.bootstrap import Wiring
    from orchestrator.domain.demo import DemoRequest
    from orchestrator.domain.errors import ConfigError
    from orchestrator.reporting.reports.database import demo_report
    from orchestrator.services.demo.fill import fill

    if call.flags.get("db") is None:
        raise ConfigError("db demo: no database is named", "benchfleet db demo --db demo.db fills a new file")
    with Wiring(call.settings()) as wiring:
        filled = fill(DemoRequest(devices, series, nights, seed), wiring, lambda night: _show_night(night, nights))
    call.show(demo_report(filled))


def _show_night(night: int, nights: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rnight {night} of {nights}" + ("\n" if night == nights else ""))
        sys.stderr.flush()
