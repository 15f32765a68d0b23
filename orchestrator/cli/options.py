"""Declare the shared options once, and hand the values to commands as a `Call`."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.command_log import logged
from orchestrator.domain.errors import ConfigError
from orchestrator.reporting.formats import FORMATS, formats_for

if TYPE_CHECKING:
    from orchestrator.reporting.report import Report
    from orchestrator.settings import Settings

_LOG_FILE = "log_file"

SETTING_FLAGS: Mapping[str, Any] = {
    "executor": Annotated[
        str | None,
        typer.Option(
            "--executor",
            metavar="NAME",
            help="Where device sessions run: threads or ray.  [default: threads]",
            show_default=False,
        ),
    ],
    "ray_address": Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="The Ray cluster to join; without it, one is started. Devices with `transport: ray` need it.",
            show_default=False,
        ),
    ],
    "db": Annotated[
        str | None,
        typer.Option(
            "--db", metavar="URL", help="Database: a path, or postgresql://USER@HOST/NAME.", show_default=False
        ),
    ],
    "inventory": Annotated[
        list[str] | None,
        typer.Option(
            "--inventory",
            metavar="PATH",
            help="File or folder; may be repeated.  [default: inventory]",
            show_default=False,
        ),
    ],
    _LOG_FILE: Annotated[
        str | None,
        typer.Option("--log-file", metavar="FILE", help="Log into this file too, as JSON lines.", show_default=False),
    ],
    "allow_files": Annotated[
        list[str] | None,
        typer.Option(
            "--allow-files",
            metavar="DIR",
            help="Let the sweep send files from this folder too; may be repeated.",
            show_default=False,
        ),
    ],
}
"""Settings with a flag, by key, in the order of help pages."""

_CONFIG = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file.  [default: benchfleet.toml]", show_default=False),
]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON, as --format json does.")]
_VERBOSE = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, help="Log on standard error; -vv logs every step.", show_default=False),
]
_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no advice: results and errors alone.")]

# Groups of settings, by the parts that a command touches.
NO_SETTINGS: tuple[str, ...] = ()
INVENTORY = ("inventory",)
DATABASE = ("db",)
MODELS = ("models",)
SWEEP_FILES = ("allow_files",)
FLEET = (*DATABASE, *INVENTORY)
SESSIONS = ("executor", "ray_address", *FLEET)

Select = Annotated[
    str,
    typer.Option("--select", metavar="EXPR", help="Devices, such as 'pi-*', 'class=rpi,ram=4g', 'not coral-*'."),
]
InWindow = Annotated[
    str | None,
    typer.Option(
        "--window",
        metavar="NAME",
        help="Begin within this window of the daemon's settings, such as nightly.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Queue for devices that are in use or reserved.")]
Reservation = Annotated[
    int | None,
    typer.Option(
        "--reservation",
        min=1,
        metavar="ID",
        help="Run under this reservation (yours is used automatically).",
        show_default=False,
    ),
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id or name, a unique beginning of either, or 'last'.",
    ),
]


@dataclass(frozen=True, slots=True)
class Call:
    """Hold the shared options of one command. `flags` are settings by key. None stands for a flag not given."""

    flags: Mapping[str, object]
    config: Path | None
    format: str
    verbose: int = 0
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        """Say whether people read the result, rather than a program."""
        return self.format == "table"

    @property
    def is_watched(self) -> bool:
        """Say whether somebody wants to see progress and advice."""
        return self.for_people and not self.quiet

    def settings(self) -> Settings:
        """Return the settings: these flags over variables, file and defaults."""
        from orchestrator.settings import LogLevel, load_settings

        level = None if not self.verbose else LogLevel.INFO if self.verbose == 1 else LogLevel.DEBUG
        return load_settings({**self.flags, "log_level": level}, config=self.config)

    def log_file(self) -> Path | None:
        """Return the file to log into, None for no file. Wrong settings are for the command to tell."""
        from orchestrator.domain.errors import OrchestratorError

        try:
            return self.settings().log_file
        except OrchestratorError:
            return None

    def show(self, report: Report) -> None:
        """Print a report in the format that was asked for.

        A reader that leaves, such as `head`, does not change how the command ends.
        """
        self.show_as(self.format, report)

    def show_as(self, form: str, report: Report) -> None:
        """Print a report in a format, as `show` does."""
        try:
            FORMATS[form].write(report, sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes standard output once more at its end, and would fail there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shares(
    uses: tuple[str, ...], *, has_cases: bool = False, prints: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add shared options to a command: the flags of the settings in `uses`, --config, --format and --json.

    The command's first parameter is its `Call`. An unsuitable format is refused before the command begins. A command
    that `prints` no data has no --format.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        # Without the first parameter, which is the `Call`: Typer must not take it for an argument.
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @functools.wraps(command)
        def called(**given: Any) -> None:
            flags = {key: given.pop(key) for key in SETTING_FLAGS if key in given}  # `given` keeps the command's own
            config = given.pop("config", None)
            form = _format(given.pop("form", None), given.pop("as_json", False), offered)
            call = Call(flags, config, form, given.pop("verbose", 0), given.pop("quiet", False))
            with logged(call.log_file()):
                command(call, **given)

        offered = formats_for(has_cases=has_cases)
        parameters = [
            *own,
            *(_option(key, SETTING_FLAGS[key], None) for key in SETTING_FLAGS if key in (*uses, _LOG_FILE)),
        ]
        parameters += [_option("verbose", _VERBOSE, 0), _option("quiet", _QUIET, False)]
        if uses:
            parameters.append(_option("config", _CONFIG, None))
        if prints:
            parameters += [_option("form", _format_option(offered), None), _option("as_json", _JSON, False)]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {}  # Typer would read the command's own, `Call` among them
        return called

    return decorate


def examples(*commands: str, title: str = "Example:") -> str:
    r"""Return the end of a help page: commands to type, each on a line of its own (\\b keeps them so)."""
    return "\b\n" + "\n".join([title, *(f"  {command}" for command in commands)])


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _format_option(offered: tuple[str, ...]) -> Any:
    words = f"How to print: {', '.join(offered[:-1])} or {offered[-1]}.  [default: table]"
    return Annotated[str | None, typer.Option("--format", metavar="NAME", help=words, show_default=False)]


def _format(named: str | None, as_json: bool, offered: tuple[str, ...]) -> str:
    """Return the format of a command. Raise ConfigError for a format outside `offered`."""
    if named is not None and named not in offered:
        hint = f"known: {', '.join(offered)}"
        if named in FORMATS:
            raise ConfigError(f"--format {named}: this command has no {named} output", hint)
        raise ConfigError(f"--format: there is no format {named!r}", hint)
    if as_json and named not in (None, "json"):
        raise ConfigError(f"--json and --format {named} contradict each other", "leave one of them out")
    return "json" if as_json else named or "table"
