"""Assemble the `benchfleet` command: the tree of commands, and the exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

import typer

from orchestrator import __version__
from orchestrator.cli import (
    annotate,
    baseline,
    bisect,
    compare,
    daemon,
    db,
    devices,
    doctor,
    env_diff,
    export,
    history,
    init,
    models,
    nightly,
    plan,
    plot,
    power,
    process,
    queue,
    regressions,
    replay,
    report,
    run,
    runs,
    schedule,
    schema,
    serve,
    sql,
    submit,
)
from orchestrator.cli.options import examples
from orchestrator.domain.credentials import without_credentials
from orchestrator.domain.errors import ExitCode, OrchestratorError

INTERRUPTED = 130
"""Exit code that Typer gives to Ctrl-C."""

app = typer.Typer(
    name="benchfleet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # expected failures are two lines, and defects show a plain traceback on demand
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
submit.add_to(app)
app.add_typer(queue.app, name="queue")
app.add_typer(schedule.app, name="schedule")
daemon.add_to(app)
compare.add_to(app)
history.add_to(app)
env_diff.add_to(app)
report.add_to(app)
export.add_to(app)
replay.add_to(app)
app.add_typer(baseline.app, name="baseline")
app.add_typer(regressions.app, name="regressions")
bisect.add_to(app)
annotate.add_to(app)
app.add_typer(nightly.app, name="nightly")
serve.add_to(app)
sql.add_to(app)
schema.add_to(app)
app.add_typer(plot.app, name="plot")
app.add_typer(power.app, name="power")
app.add_typer(db.app, name="db")
doctor.add_to(app)


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
    """Run the command, and exit with a code of `ExitCode`."""
    process.prepare()
    try:
        code = _exit_code()
    except SystemExit as end:  # Typer turns a broken pipe into an exit with code 1
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        code = _reader_left()
    except BrokenPipeError:
        code = _reader_left()
    sys.exit(code)


@cache
def _tree() -> Callable[..., int | None]:
    # To build the tree takes Typer 25 ms, and a process may run many commands: a daemon's, or a test's.
    return typer.main.get_command(app)


def _exit_code() -> int:
    """Run the command. Turn an error into two lines on standard error and an exit code."""
    try:
        code = _tree()(prog_name="benchfleet", standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk can still be reported
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
            _drop_output()  # else Python writes once more at its end, and exits with a code of its own
            _complain(f"the output cannot be written: {error.strerror}", "free space there, or print elsewhere")
            return ExitCode.INFRASTRUCTURE
        return _unexpected(error)
    return _interrupted() if code == INTERRUPTED else code or ExitCode.FINE


def _interrupted(error: BaseException | None = None) -> ExitCode:
    cause = None if error is None else error.__cause__
    # Typer takes every EOFError for Ctrl-D, but a file of this installation may have been cut short.
    if isinstance(cause, EOFError):
        if os.environ.get("BENCHFLEET_DEBUG"):
            raise cause
        return _unexpected(cause)
    _complain("interrupted", None)
    return ExitCode.INCOMPLETE


def _unexpected(error: BaseException) -> ExitCode:
    from orchestrator.cli.unexpected import words_for

    _complain(*words_for(error))
    return ExitCode.INFRASTRUCTURE


def _misused(error: typer.TyperException) -> ExitCode:
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is None:
        _complain(message, None)
    elif message == context.get_help():  # a group without a command is answered by its help
        typer.echo(message, err=True)
    else:
        # As our own errors are written: no capital, no full stop.
        hint = f"{context.command_path} --help"
        option = getattr(error, "option_name", None)
        if option is not None and _is_taken_below(context.command, option):
            hint = f"options stand behind the command: {context.command_path} COMMAND {option}"
        _complain(message[:1].lower() + message[1:].rstrip("."), hint)
    return ExitCode.USAGE


def _is_taken_below(command: Any, option: str) -> bool:
    """Say whether a command of a group takes an option, which a group itself takes not."""
    below = getattr(command, "commands", {}).values()
    return any(_is_taken_below(one, option) or any(option in kind.opts for kind in one.params) for one in below)


def _reader_left() -> ExitCode:
    """End quietly when the reader of our output, such as `head`, has seen enough."""
    _drop_output()
    return ExitCode.FINE


def _drop_output() -> None:
    # The descriptor rather than sys.stdout: what is buffered must have somewhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, hint: str | None) -> None:
    typer.echo(f"{_label('error: ', 'red')}{_harmless(message)}", err=True)
    if hint:
        typer.echo(f"{_label('hint: ', 'cyan')}{_harmless(hint)}", err=True)


def _harmless(text: str) -> str:
    """Return foreign text without credentials and control characters. Lines stay."""
    text = without_credentials(text)
    # An error may quote a file or a device.
    if text.isascii() and text.isprintable():
        return text
    # Late, since the module imports rich, and most errors are plain ASCII.
    from orchestrator.reporting.text import clean_lines

    return clean_lines(text)


def _label(text: str, colour: str) -> str:
    return text if os.environ.get("NO_COLOR") else typer.style(text, fg=colour)
