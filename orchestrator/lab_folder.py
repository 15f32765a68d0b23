"""Find the folder of a lab from the working folder, as git finds a repository."""

from __future__ import annotations

import os
from pathlib import Path

SETTINGS_FILE = "benchfleet.toml"
INVENTORY_FOLDER = "inventory"
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
