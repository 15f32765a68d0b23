"""Find the folder of a lab from the working folder, as git finds a repository, and read its settings file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import ConfigError

SETTINGS_FILE = "benchfleet.toml"
INVENTORY_FOLDER = "inventory"
_BYTES_MAX = 1 << 20
_DOTS_MAX = 200
"""The most dots in a line, because tomllib takes memory in the square of a dotted key's length."""
_LAB_MARKS = (SETTINGS_FILE, INVENTORY_FOLDER)


def find_lab(folder: Path) -> Path:
    """Return the nearest folder upwards with a settings file or else an inventory; `folder` itself where none has any.

    A folder above counts only where the file belongs to this user or to root: a settings file may name programs.
    """
    try:
        here = folder.absolute()
    except OSError:  # the working folder is gone
        return folder
    if is_lab(here):
        return folder
    return next((above for above in here.parents if any(_is_trusted(above / name) for name in _LAB_MARKS)), folder)


def is_lab(folder: Path) -> bool:
    """Say whether a folder has a settings file or an inventory."""
    # Not Path.exists, which raises where a folder may not be searched.
    return any(os.path.exists(folder / name) for name in _LAB_MARKS)  # noqa: PTH110


def _is_trusted(path: Path) -> bool:
    try:
        return path.stat().st_uid in (os.getuid(), 0)
    except OSError:
        return False


def from_here(lab: Path, name: str, folder: Path) -> Path:
    """Return a path of the lab as people in the working folder write it: inventory, or ../inventory."""
    return Path(name) if lab == folder else Path(os.path.relpath(lab / name, folder.absolute()))


def read_toml(full: Path, shown: Path) -> tuple[dict[str, Any], str]:
    """Return the content of a settings file, and its text. Raise ConfigError, with the path `shown`, for a bad file."""
    import tomllib  # completion reads no settings, and waits for no import

    text = _read_text(full, shown)
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _DOTS_MAX:
            raise ConfigError(f"{shown}:{number}: more than {_DOTS_MAX} dots in one line", hint="write it in several")
    try:
        return tomllib.loads(text), text
    except (ValueError, RecursionError) as error:  # a syntax error, an endless number, or endless nesting
        raise _syntax_error(shown, error) from None


def _read_text(full: Path, shown: Path) -> str:
    try:
        with full.open("rb") as file:
            raw = file.read(_BYTES_MAX + 1)
        # A wrong path, such as a database or a log, must not be read whole.
        if len(raw) > _BYTES_MAX:
            raise ConfigError(f"{shown}: larger than {_BYTES_MAX} bytes", hint="is this the right file?")
        return raw.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such settings file", hint="`benchfleet init DIR` writes one") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{shown}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None


def _syntax_error(path: Path, error: Exception) -> ConfigError:
    # tomllib puts the place at the end of the message. Our errors begin with file:line.
    found = re.search(r"^(.*) \(at line (\d+), (column \d+)\)$", str(error))
    if found is None:
        return ConfigError(f"{path}: not valid TOML: {error}")
    return ConfigError(f"{path}:{found[2]}: not valid TOML: {found[1]} ({found[3]})")


def line_of(key: str, text: str) -> int:
    """Return the number of the line with a top-level key, because tomllib does not tell."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)
