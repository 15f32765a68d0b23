"""Tell whether an SQLite file can be written, and refuse a write with the reason."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.domain.errors import StoreError


def may_write(file: Path) -> bool:
    """Return True if SQLite can write a file, or make the file. Both need the folder, where the journal is."""
    place = file.resolve()  # the journal stands beside the file, not beside a link to the file
    if not os.access(place, os.F_OK):
        return True
    journal = [place.with_name(f"{place.name}{end}") for end in ("-wal", "-shm")]
    has_journal = os.access(place.parent, os.W_OK) or all(os.access(one, os.W_OK) for one in journal)
    return os.access(place, os.W_OK) and has_journal


def is_there(file: Path) -> bool:
    """Return True if a file is there, or may be: in a folder that one may not enter, SQLite tells."""
    try:
        return file.exists()
    except PermissionError:
        return True


def refusal(file: Path, shown: str) -> StoreError:
    """Return the error for a write to a file that this user can only read."""
    place = file.resolve()
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        why, hint = "its file system is mounted read-only", "copy it to a place that you may write, and name the copy"
    else:
        why = f"the file is {_owner(place)}'s, its folder {_owner(place.parent)}'s"
        hint = "ask for the right to write the file and its folder, or name a database of your own"
    return StoreError(f"{shown}: you may only read this database: {why}", f"{hint}: --db FILE")


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):  # no account of this machine
        return f"user {path.stat().st_uid}"
