"""What the user's and the system's ssh configuration say of a host, as ssh itself reads them."""

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
    """Runs what `Match exec` says, away from the terminal: invoke would set it up for each of many at once."""

    @staticmethod
    def run(command: str, **_options: object) -> SimpleNamespace:
        """Return whether the user's own command, which ssh gives to a shell too, ends well."""
        discard = subprocess.DEVNULL
        done = subprocess.run(command, shell=True, stdin=discard, stdout=discard, check=False)  # noqa: S602
        return SimpleNamespace(ok=done.returncode == 0)


paramiko.config.invoke = _Commands  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class SshConfig:
    """Configuration files, read when asked; `path` stands for the user's and the system's where it is given."""

    path: Path | None = None

    def lookup(self, host: str, overrides: Mapping[str, object]) -> Mapping[str, object]:
        """Return the options that hold for `host`, names in lower case; `overrides` win over every file.

        The overrides are read first, and so count wherever an option refers to another (`ProxyCommand … %p`).
        """
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
        """Yield each file with the directory that its relative includes are in."""
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
    """Split an option's value as ssh does: at spaces, except in quotes."""
    return shlex.split(str(value)) if value is not None else []


def at_home(file: str) -> Path:
    """Return a path with `~` written out, as far as that user is known."""
    try:
        return Path(file).expanduser()
    except RuntimeError:
        return Path(file)


def _lines(path: Path, directory: Path, depth: int = 0) -> Iterator[str]:
    """Yield a file's lines with included files in place, which paramiko does not do.

    After an included file, the block that includes it goes on. Of a file that is included within a block for some
    hosts only, the part before its own first block is taken.
    """
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
    """Raise ValueError for a name that `Match exec` would hand to a shell as more than a word."""
    runs_commands = any(keyword == "match" and "exec" in value.lower() for keyword, value in map(_option, lines))
    unfit = next((name for name in names if _FOR_SHELLS.search(name)), None)
    if runs_commands and unfit is not None:
        raise ValueError(f"Match exec would give {unfit!r} to a shell")


def _option(line: str) -> tuple[str, str]:
    keyword, _, value = line.strip().replace("=", " ", 1).partition(" ")
    return keyword.lower(), value.strip()
