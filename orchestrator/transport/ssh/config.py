"""Read the ssh configuration of the user and of the system for a host, in the way of ssh itself."""

from __future__ import annotations

import glob
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import paramiko.config
from paramiko import SSHConfig
from paramiko.ssh_exception import SSHException

from orchestrator.domain.errors import Unreachable

_SYSTEM_DIRECTORY = Path("/etc/ssh")
_USER_DIRECTORY = "~/.ssh"
_INCLUDES_DEEP_MAX = 16
_FOR_SHELLS = re.compile(r"[^\w.:%@\[\]-]")
_LISTS_OF_FILES = ("userknownhostsfile", "globalknownhostsfile")


class _Commands:
    """Runs the commands of `Match exec`, in place of invoke."""

    # Invoke sets up the terminal for each command and restores the terminal afterwards. With many devices at once, the
    # shell was left without echo.

    @staticmethod
    def run(command: str, **_options: object) -> SimpleNamespace:
        """Run a command of the user's own configuration. `ok` of the result is True for exit status 0."""
        # By a shell, as ssh does.
        discard = subprocess.DEVNULL
        done = subprocess.run(command, shell=True, stdin=discard, stdout=discard, check=False)  # noqa: S602
        return SimpleNamespace(ok=done.returncode == 0)


paramiko.config.invoke = _Commands  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class SshConfig:
    """The configuration files, read at each lookup. `path`, if given, replaces the files of user and system."""

    path: Path | None = None

    def lookup(self, host: str, overrides: Mapping[str, object]) -> Mapping[str, object]:
        """Return the options for `host`, by names in lower case. `overrides` win over every file.

        Raise Unreachable if a file cannot be used.
        """
        # First of all files, so that the overrides also count inside other options, such as `ProxyCommand … %p`.
        given = "".join(f"{name} {value}\n" for name, value in overrides.items() if value is not None)
        config = SSHConfig()
        try:
            config.parse(StringIO(given))
            for path, directory in self._files():
                lines = list(_lines(path, directory))
                _refuse_for_shells(lines, (host, *map(str, overrides.values())))
                config.parse(StringIO("\n".join(lines)))
            return dict(config.lookup(host))
        except (SSHException, OSError, ValueError, KeyError) as error:
            raise Unreachable(
                f"the ssh configuration cannot be used: {error}",
                hint=f"see what ssh itself makes of it: ssh -G {shlex.quote(host)}",
            ) from error

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """Yield each file with the directory of its relative includes."""
        user_directory = Path(_USER_DIRECTORY).expanduser()
        if self.path is not None:
            yield self.path, user_directory
            return
        for path, directory in (
            (user_directory / "config", user_directory),
            (_SYSTEM_DIRECTORY / "ssh_config", _SYSTEM_DIRECTORY),
        ):
            if path.is_file():
                yield path, directory


def words(value: object) -> list[str]:
    """Split an option's value at spaces, except in quotes, as ssh does."""
    return shlex.split(str(value)) if value is not None else []


def at_home(file: str) -> Path:
    """Return a path with `~` written out. The `~name` of an unknown user stays as written."""
    try:
        return Path(file).expanduser()
    except RuntimeError:
        return Path(file)


def _lines(path: Path, directory: Path, depth: int = 0) -> Iterator[str]:
    """Yield the lines of a file, with the lines of included files in place.

    After an included file, the including block goes on. From a file included inside a block for some hosts only, the
    lines before the file's first block are taken.
    """
    # Paramiko does not follow `Include`.
    if depth > _INCLUDES_DEEP_MAX:
        raise ValueError(f"{path}: files include each other")
    block = "Host *"
    for line in path.read_text("utf-8", "replace").splitlines():
        keyword, value = _option(line)
        if keyword in {"host", "match"}:
            block = line
        if keyword in _LISTS_OF_FILES:
            yield f'{keyword} "{value}"'  # paramiko takes the outermost quotes for those of a single value
            continue
        if keyword != "include":
            yield line
            continue
        everywhere = _option(block) == ("host", "*")
        for included in _included(words(value), directory):
            for inner in _lines(included, directory, depth + 1):
                if not everywhere and _option(inner)[0] in {"host", "match"}:
                    break
                yield inner
        yield block


def _included(patterns: Sequence[str], directory: Path) -> Iterator[Path]:
    for pattern in patterns:
        for name in sorted(glob.glob(str(directory / at_home(pattern)))):  # noqa: PTH207 - may be absolute
            yield Path(name)


def _refuse_for_shells(lines: Sequence[str], names: Sequence[str]) -> None:
    """Raise ValueError if `Match exec` would give a shell a name of more than plain characters."""
    # A host name of the inventory goes into the command as %h. ssh itself refuses such names since 9.6.
    runs_commands = any(keyword == "match" and "exec" in value.lower() for keyword, value in map(_option, lines))
    unfit = next((name for name in names if _FOR_SHELLS.search(name)), None)
    if runs_commands and unfit is not None:
        raise ValueError(f"Match exec would give {unfit!r} to a shell")


def _option(line: str) -> tuple[str, str]:
    keyword, _, value = line.strip().replace("=", " ", 1).partition(" ")
    return keyword.lower(), value.strip()
