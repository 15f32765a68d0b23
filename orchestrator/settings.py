"""Load the settings of a command: flags over BENCHFLEET_* variables over benchfleet.toml over defaults."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.domain.database_url import refuse_mistyped_url
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean
from orchestrator.lab_folder import INVENTORY_FOLDER, SETTINGS_FILE, find_lab, from_here, is_lab, line_of, read_toml

if TYPE_CHECKING:
    from orchestrator.domain.window import Window

CONFIG_VARIABLE = "BENCHFLEET_CONFIG"
_PREFIX = "BENCHFLEET_"
TOKEN_VARIABLE = "BENCHFLEET_TOKEN"  # noqa: S105 - the name of a variable
_OTHER_VARIABLES = {
    CONFIG_VARIABLE,
    TOKEN_VARIABLE,
    "BENCHFLEET_DEBUG",
    "BENCHFLEET_GRAFANA_SCHEMA",
    "BENCHFLEET_SYSFS_ROOT",
    "BENCHFLEET_TEST_SSHD",
}
_TRIAL_VARIABLE = "BENCHFLEET_TRIAL"
_LEASE_S_MIN = 3.0
"""The shortest lease. A third of the length must suffice to renew all leases even by a busy database, or a live
controller would lose its leases."""


class ExecutorKind(StrEnum):
    """Name the places where device sessions run."""

    THREADS = "threads"
    RAY = "ray"


class LogLevel(StrEnum):
    """Name how much is logged on standard error."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the settings common to all commands. Times are in seconds.

    `db` is a URL, and is left out of `repr` because of a possible password. `inventory` paths stay as written, because
    errors show them. There are none where nobody named any, and no lab is around. All other paths are absolute. Without
    `models` the folder `models` of a lab counts. Without `ssh_config` the user's and the system's ssh config apply.
    Without `ray_address` a Ray is started for the command.
    """

    db: str = field(repr=False)
    inventory: tuple[Path, ...]
    models: Path | None
    allow_files: tuple[Path, ...]
    cache_dir: Path
    known_hosts: Path
    ssh_config: Path | None
    executor: ExecutorKind
    ray_address: str | None
    connect_timeout_s: float
    heartbeat_s: float
    lease_s: float
    log_level: LogLevel
    log_file: Path | None
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class _Origin:
    """Name the origin of a value for errors, and the folder of relative paths."""

    name: str
    folder: Path
    home: Path

    def path(self, text: str) -> Path:
        if text == "~" or text.startswith("~/"):
            return self.home / text[2:]
        return self.folder / text


Reader = Callable[[Any, _Origin], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """Describe a setting: the key in the file, the purpose, the default as text, the reader, and an example."""

    key: str
    purpose: str
    default: str | None
    read: Reader
    example: str

    @property
    def variable(self) -> str:
        """Return the name of the setting's environment variable."""
        return f"{_PREFIX}{self.key.upper()}"


def _text(value: Any, _origin: _Origin) -> str:
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected text")
    return value


def _database(value: Any, origin: _Origin) -> str:
    text = _text(value, origin)
    refuse_mistyped_url(text, origin.name)
    if "://" not in text:
        return f"sqlite:///{origin.path(text)}"
    if text.startswith("sqlite:///") and not text.startswith("sqlite:////"):
        return f"sqlite:///{origin.path(text.removeprefix('sqlite:///'))}"
    return text


def _path(value: Any, origin: _Origin) -> Path:
    return origin.path(_text(value, origin)).absolute()


def _paths(value: Any, origin: _Origin) -> tuple[Path, ...]:
    parts = value.split(os.pathsep) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError("expected a path or a list of paths")
    return tuple(origin.path(_text(part, origin)) for part in parts)


def _folders(value: Any, origin: _Origin) -> tuple[Path, ...]:
    return tuple(path.absolute() for path in _paths(value, origin))


def _seconds(least: float = 0.0) -> Reader:
    def read(value: Any, _origin: _Origin) -> float:
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)  # float(True) is 1.0
        except (TypeError, ValueError):
            seconds = math.nan
        if not least <= seconds <= 3600 or seconds == 0:
            raise ValueError(f"expected seconds, {f'at least {least:g}' if least else 'more than 0'} and at most 3600")
        return seconds

    return read


def _windows(value: Any, origin: _Origin) -> tuple[Window, ...]:
    if not value:
        return ()
    from orchestrator.domain.window import read_windows

    return read_windows(value, origin.name)


def _one_of(choices: type[StrEnum]) -> Reader:
    def read(value: Any, _origin: _Origin) -> StrEnum:
        names = [choice.value for choice in choices]
        if value not in names:
            raise ValueError(f"expected {', '.join(names[:-1])} or {names[-1]}")
        return choices(value)

    return read


OPTIONS = (
    Option(
        "db",
        "The database: sqlite:///PATH, a plain path, or postgresql://USER@HOST/NAME (~/.pgpass keeps its password).",
        "sqlite:///benchfleet.db",
        _database,
        '"sqlite:///benchfleet.db"',
    ),
    Option(
        "inventory", "Inventory files, or folders of them; several are merged.", "inventory", _paths, '["inventory"]'
    ),
    Option(
        "models",
        "The folder of models. A sweep has its model there, below its own folder, or in a `models` folder above it.",
        None,
        _path,
        '"models"',
    ),
    Option(
        "allow_files",
        "Folders, besides a sweep's own, from which sweeps may send files and models to devices.",
        None,
        _folders,
        '["~/benchmark-data"]',
    ),
    Option(
        "cache_dir",
        "Where this controller keeps the files for devices: runtime bundles, plans, the worker.",
        None,
        _path,
        '"~/.cache/benchfleet-controller"',
    ),
    Option(
        "known_hosts",
        "Host keys of enrolled devices, beside ssh's own known_hosts files. A device in none of them is refused.",
        None,
        _path,
        '"~/.config/benchfleet/known_hosts"',
    ),
    Option(
        "ssh_config",
        "An ssh config in place of the user's and the system's, as in `ssh -F FILE`.",
        None,
        _path,
        '"ssh_config"',
    ),
    Option(
        "executor",
        "Where device sessions run: in threads of this process, or in gateways of a Ray cluster (ray).",
        "threads",
        _one_of(ExecutorKind),
        '"threads"',
    ),
    Option(
        "ray_address",
        "The Ray cluster to join, of which this machine is a node; without it, one is started for the command. "
        "Devices with `transport: ray` need it.",
        None,
        _text,
        '"10.0.0.2:6379"',
    ),
    Option(
        "connect_timeout_s",
        "How long to wait for a device to answer, in seconds.",
        "10",
        _seconds(),
        "10",
    ),
    Option(
        "heartbeat_s",
        "How often a measuring device sends a sign of life, in seconds; after three missing ones the link is renewed.",
        "15",
        _seconds(),
        "15",
    ),
    Option(
        "lease_s",
        "How long a run keeps its device after the last sign of its controller, in seconds; 3 to 3600.",
        "60",
        _seconds(least=_LEASE_S_MIN),
        "60",
    ),
    Option(
        "log_level",
        "How much is logged on standard error: debug, info, warning or error.",
        "warning",
        _one_of(LogLevel),
        '"warning"',
    ),
    Option(
        "log_file",
        "A file to log into as well, as JSON lines: commands, and the events of runs.",
        None,
        _path,
        '"benchfleet.log"',
    ),
    Option(
        "windows",
        "Hours for daemons' work: whose, on which devices. `submit --window nightly` begins within them.",
        None,
        _windows,
        '{ nightly = "22:00-06:00" }',
    ),
)
_FILE_HEAD = """\
#:schema schemas/settings.schema.json
# Settings of benchfleet for commands that are run in this folder or below, or with --config FILE.
# A flag comes before a BENCHFLEET_* variable, a variable before this file, and this file before the default.
# Relative paths start from this file. A line that is commented out shows the default, or an example.
"""
_BY_KEY = {option.key: option for option in OPTIONS}


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    config: Path | None = None,
    folder: Path = Path(),
) -> Settings:
    """Return the settings of a command.

    `flags` maps keys to values, None for a flag not given. `config` is the settings file named by a flag. `folder` is
    the working folder. Without a named file, defaults are relative to the lab. Raise ConfigError, naming the flag, the
    variable or file:line, for a wrong value.
    """
    home = Path(environ.get("HOME") or Path.home())
    _check_variables(environ)
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    lab = folder if named is not None else find_lab(folder)
    values = {**_defaults(environ, home, lab, folder), **_from_file(named, lab, home, folder)}
    if named is None and not is_lab(lab):
        values["inventory"] = ()
    for option in OPTIONS:
        if environ.get(option.variable):
            origin = _Origin(option.variable, folder, home)
            values[option.key] = _read(option, environ[option.variable], origin)
    for key, value in (flags or {}).items():
        option = _BY_KEY[key]
        # A flag that may be repeated is empty, not None, if not given.
        if value is not None and value != [] and value != ():
            values[key] = _read(option, value, _Origin(f"--{key.replace('_', '-')}", folder, home))
    return Settings(**values)


def _check_variables(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for an unknown BENCHFLEET_* variable, as for an unknown key of the file."""
    # A mistyped BENCHFLEET_DB would silently mean another database. Trials have variables of their own.
    known = {option.variable for option in OPTIONS} | _OTHER_VARIABLES
    for name in environ:
        if name.startswith(_PREFIX) and environ[name] and name not in known and _TRIAL_VARIABLE not in environ:
            raise ConfigError(f"{name}: unknown variable", hint=did_you_mean(name, known))


def render_settings_file() -> str:
    """Return the text of a settings file with all settings explained and commented out."""
    parts = [_FILE_HEAD]
    for option in OPTIONS:
        parts.append(f"# {option.purpose}\n# Variable: {option.variable}\n#{option.key} = {option.example}\n")
    return "\n".join(parts)


def _defaults(environ: Mapping[str, str], home: Path, lab: Path, folder: Path) -> dict[str, Any]:
    origin = _Origin("default", lab, home)
    values = {option.key: option.default and option.read(option.default, origin) for option in OPTIONS}
    # As people would write it: errors show this path.
    values["inventory"] = (from_here(lab, INVENTORY_FOLDER, folder),)
    values["allow_files"] = values["windows"] = ()
    values["cache_dir"] = _xdg(environ, "XDG_CACHE_HOME", home / ".cache") / "benchfleet-controller"
    values["known_hosts"] = _xdg(environ, "XDG_CONFIG_HOME", home / ".config") / "benchfleet" / "known_hosts"
    return values


def _xdg(environ: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    # The XDG specification says to ignore a relative path.
    path = Path(environ.get(variable) or otherwise)
    return path if path.is_absolute() else otherwise


def _from_file(named: Path | None, lab: Path, home: Path, folder: Path) -> dict[str, Any]:
    path = named or from_here(lab, SETTINGS_FILE, folder)
    full = folder / named if named is not None else lab / SETTINGS_FILE
    # The default file may be missing. A file named by a flag or a variable must exist.
    if named is None and not full.exists():
        return {}
    content, text = read_toml(full, path)
    values = {}
    for key, value in content.items():
        where = f"{path}:{line_of(key, text)}"
        if key not in _BY_KEY:
            raise ConfigError(f"{where}: unknown setting {key!r}", hint=did_you_mean(key, _BY_KEY))
        values[key] = _read(_BY_KEY[key], value, _Origin(f"{where}: {key}", full.parent, home))
    return values


def _read(option: Option, value: Any, origin: _Origin) -> Any:
    try:
        return option.read(value, origin)
    except ValueError as error:
        # A database URL may hold a password.
        given = "" if option.key == "db" else f", not {value!r}"
        raise ConfigError(f"{origin.name}: {error}{given}") from None
