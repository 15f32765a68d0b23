"""Look at files and folders: who may read and write them, and how much room is left."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from orchestrator.domain.checkup import Finding, Health

ROOM_BYTES_MIN = 1 << 30
"""Room that a controller should have: a runtime's packages and a night's samples take hundreds of megabytes."""

FILES_MIN = 1_000
"""New files that a file system should have room for: some have a fixed number."""

_OTHERS_WRITE, _OTHERS_USE = 0o022, 0o077


def check_trusted(part: str, files: Iterable[Path]) -> Iterator[Finding]:
    """Yield the files that others may write, although they decide whom this machine trusts or what it runs."""
    for file in files:
        mode = _mode(file)
        if mode is not None and mode & _OTHERS_WRITE:
            yield Finding(part, Health.WRONG, f"{file}: others may write it ({mode:04o})", _chmod("go-w", file))


def check_secret(part: str, files: Iterable[Path]) -> Iterator[Finding]:
    """Yield the files that others may read, although they hold a secret."""
    for file in files:
        mode = _mode(file)
        if mode is not None and mode & _OTHERS_USE:
            yield Finding(part, Health.WRONG, f"{file}: others may use it ({mode:04o})", _chmod("go=", file))


def check_keys(named: Mapping[Path, str], usual: Iterable[Path]) -> Iterator[Finding]:
    """Yield what is wrong with private keys. `named` are those of the inventory, each with its device."""
    for file, device in named.items():
        if not file.exists():
            words = f"{file}: there is no such key; {device} names it"
            yield Finding("keys", Health.WRONG, words, "correct identity_file: in the inventory")
        elif not os.access(file, os.R_OK):
            yield Finding("keys", Health.WRONG, f"{file}: this user may not read it", f"ls -l {shlex.quote(str(file))}")
    yield from check_secret("keys", dict.fromkeys((*named, *usual)))


def check_room(places: Mapping[str, tuple[Path, str]]) -> Iterator[Finding]:
    """Yield the folders without room, and those that cannot be written. `places` has folder and remedy by purpose."""
    for purpose, (folder, remedy) in places.items():
        there = _nearest(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            words = f"{purpose}: {there} cannot be written by this user"
            yield Finding("room", Health.WRONG, words, f"ls -ld {shlex.quote(str(there))}")
            continue
        found = os.statvfs(there)
        free = found.f_bavail * found.f_frsize
        if free < ROOM_BYTES_MIN:
            yield Finding("room", Health.WRONG, f"{purpose}: {there} has {free / 1e6:.0f} MB left", remedy)
        elif found.f_files > 0 and found.f_favail < FILES_MIN:
            words = f"{purpose}: {there} has room for {found.f_favail} new files"
            yield Finding("room", Health.WRONG, words, remedy)
        else:
            yield Finding("room", Health.FINE, f"{purpose}: {there} has {free / 1e9:.0f} GB left")


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above that is there: the folder would be made within."""
    return next((one for one in (folder.absolute(), *folder.absolute().parents) if one.exists()), Path("/"))


def _mode(file: Path) -> int | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode)


def _chmod(mode: str, file: Path) -> str:
    return f"chmod {mode} {shlex.quote(str(file))}"
