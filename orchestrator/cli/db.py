"""`benchfleet db`: the database's schema."""

from __future__ import annotations

import typer

from orchestrator.cli.options import Config, Db, Json, examples

app = typer.Typer(no_args_is_help=True, help="Upgrade the database, or say where its schema stands.")


@app.command(epilog=examples("benchfleet db upgrade --db postgresql://lab@db.example/benchfleet"))
def upgrade(db: Db = None, config: Config = None, as_json: Json = False) -> None:
    """Bring the schema up to this version, or create it.

    SQLite does so by itself, whenever a command writes.
    """
    from orchestrator import bootstrap

    _report(bootstrap.upgrade_database(bootstrap.settings(db=db, config=config)), as_json)


@app.command(epilog=examples("benchfleet db current"))
def current(db: Db = None, config: Config = None, as_json: Json = False) -> None:
    """Print the schema's revision, and the one that this version wants."""
    from orchestrator import bootstrap

    _report(bootstrap.database_revision(bootstrap.settings(db=db, config=config)), as_json)


def _report(status: dict[str, str | None], as_json: bool) -> None:
    if as_json:
        from orchestrator.reporting.plain_data import json_text

        typer.echo(json_text(status))
    else:
        typer.echo(f"{status['database']}: revision {status['revision'] or 'none'}, wanted {status['wanted']}")
