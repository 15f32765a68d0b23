"""Look at paths that files name: one that no file system can hold, or nobody may look at, is simply not there."""

from __future__ import annotations

from pathlib import Path


def is_file(path: Path) -> bool:
    """Say whether a file is there."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Say whether a folder is there."""
    try:
        return path.is_dir()
    except OSError:
        return False


def expanded(path: str) -> Path:
    """Return a path with `~` written out; a user that nobody knows stays as written."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def resolved(path: Path) -> Path:
    """Return a path without links and `..`; as it is where its links go in a circle or its names cannot be."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()
