"""The `benchfleet` command: its tree of commands, and how it ends."""

from __future__ import annotations

import errno
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

import typer

from orchestrator import __version__
from orchestrator.cli import compare, db, devices, init, models, plan, run, runs, sql
from orchestrator.cli.options import examples
from orchestrator.domain.errors import ExitCode, OrchestratorError

INTERRUPTED = 130
"""What Typer makes of Ctrl-C."""

app = typer.Typer(
    name="benchfleet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is drawn in half the time, and can be read in a pipe
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("benchfleet init lab", "cd lab", "benchfleet run sweeps/quickstart.yaml", title="Begin with:"),
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
        typer.echo(f"benchfleet {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Benchmark model variants on a fleet of real devices, over SSH and Ray, into SQL.

    Exit codes: 0 fine, 1 confirmed regression, 2 wrong usage or a bad file, 3 incomplete, 4 infrastructure.
    """


def main() -> NoReturn:
    """Run the command and exit as the design's table of exit codes says."""
    signal.signal(signal.SIGTERM, _interrupt)
    os.umask(os.umask(0o022) | 0o022)  # whatever we write, nobody else may change it
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no "µ" still gets its table
    try:
        code = _exit_code()
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        code = _reader_left()
    except BrokenPipeError:
        code = _reader_left()
    sys.exit(code)


def _open_closed_streams() -> None:
    """Give a command whose standard output or error was closed (`>&-`) one that leads nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def _exit_code() -> int:
    """Run the command; what it raises becomes two lines on standard error and an exit code."""
    try:
        code = app(prog_name="benchfleet", standalone_mode=False)
        sys.stdout.flush()
    except OrchestratorError as error:
        _complain(str(error), error.hint)
        return error.exit_code
    except typer.TyperException as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _interrupted(error)
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("BENCHFLEET_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
            _drop_output()  # else Python tries once more when it ends, and has an exit code of its own for that
            _complain(f"the output cannot be written: {error.strerror}", "free space there, or print elsewhere")
            return ExitCode.INFRASTRUCTURE
        return _unexpected(error)
    return _interrupted() if code == INTERRUPTED else code or ExitCode.FINE


def _interrupted(error: BaseException | None = None) -> ExitCode:
    cause = None if error is None else error.__cause__
    if isinstance(cause, EOFError):  # Typer takes any for Ctrl-D, but a file may have been cut short
        if os.environ.get("BENCHFLEET_DEBUG"):
            raise cause
        return _unexpected(cause)
    _complain("interrupted", None)
    return ExitCode.INCOMPLETE


def _unexpected(error: BaseException) -> ExitCode:
    message = f"unexpected {type(error).__name__}: {error}"
    _complain(message, "this is a defect of benchfleet; BENCHFLEET_DEBUG=1 shows where")
    return ExitCode.INFRASTRUCTURE


def _misused(error: typer.TyperException) -> ExitCode:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None:
        _complain(message, None)
    elif message == context.get_help():  # a group without a command: its help is the answer
        typer.echo(message, err=True)
    else:
        _complain(message[:1].lower() + message[1:].rstrip("."), f"{context.command_path} --help")
    return ExitCode.USAGE


def _reader_left() -> ExitCode:
    """End quietly when whoever read our output, such as `head`, has seen enough."""
    _drop_output()
    return ExitCode.FINE


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, hint: str | None) -> None:
    typer.echo(f"{_label('error: ', 'red')}{_harmless(message)}", err=True)
    if hint:
        typer.echo(f"{_label('hint: ', 'cyan')}{_harmless(hint)}", err=True)


def _harmless(text: str) -> str:
    """Return text that may quote a file or a device, without what a terminal would obey; its lines stay."""
    if text.isascii() and text.isprintable():
        return text
    from orchestrator.reporting.text import clean_lines

    return clean_lines(text)


def _label(text: str, colour: str) -> str:
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg=colour)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
