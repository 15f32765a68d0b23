"""The `benchfleet` command: its tree of commands, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from orchestrator.cli import compare, db, devices, init, models, plan, run, runs, sql
from orchestrator.domain.errors import ExitCode, OrchestratorError

app = typer.Typer(
    name="benchfleet",
    help="Benchmark model variants on a fleet of real devices, over SSH and Ray, into SQL.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: benchfleet init lab && cd lab && benchfleet run sweeps/quickstart.yaml",
)
init.add_to(app)
app.add_typer(devices.app, name="devices")
app.add_typer(models.app, name="models")
plan.add_to(app)
run.add_to(app)
app.add_typer(runs.app, name="runs")
compare.add_to(app)
sql.add_to(app)
app.add_typer(db.app, name="db")


def _version(wanted: bool) -> None:
    if wanted:
        from orchestrator import __version__

        typer.echo(f"benchfleet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Benchmark model variants on a fleet of real devices, over SSH and Ray, into SQL."""


def main() -> NoReturn:
    """Run the command and exit as the design's table of exit codes says."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except OrchestratorError as error:
        _complain(str(error), error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INCOMPLETE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FINE)
    except Exception as error:
        if os.environ.get("BENCHFLEET_DEBUG"):
            raise
        _complain(
            f"unexpected {type(error).__name__}: {error}",
            "this is a defect of benchfleet; BENCHFLEET_DEBUG=1 shows where",
        )
        sys.exit(ExitCode.INFRASTRUCTURE)
    sys.exit(ExitCode.FINE)


def _complain(message: str, hint: str | None) -> None:
    typer.secho("error: ", fg="red", err=True, nl=False)
    typer.echo(message, err=True)
    if hint:
        typer.secho("hint: ", fg="cyan", err=True, nl=False)
        typer.echo(hint, err=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
