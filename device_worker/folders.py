"""Remove folders with all that is in them."""

from __future__ import annotations

import os
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator


def remove_tree(path: str) -> None:
    """Remove a folder, as far as that is possible; links in it are removed, not followed.

    Trials leave what they like there: folders that are locked are unlocked, and nested ones are moved up first, so that
    neither their depth nor the length of their paths matters. shutil fails at that, and its five compression modules
    would be imported by every session and every runner.
    """
    if os.path.islink(path):
        return
    numbers = count()
    folders = [path]
    while folders:
        folder = folders.pop()
        _works(os.chmod, folder, 0o700)
        for name in _names_in(folder):
            inner = os.path.join(folder, name)
            if _works(os.unlink, inner) or _works(os.rmdir, inner) or os.path.islink(inner) or not os.path.isdir(inner):
                continue
            if folder != path:
                _works(os.chmod, inner, 0o700)  # else it cannot be moved by anyone but root
                higher = _free_name(path, numbers)
                if not _works(os.rename, inner, higher):
                    continue
                inner = higher
            folders.append(inner)
        _works(os.rmdir, folder)
    _works(os.rmdir, path)


def _works(act: Callable[..., object], *arguments: Any) -> bool:
    try:
        act(*arguments)
    except OSError:
        return False
    return True


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _free_name(folder: str, numbers: Iterator[int]) -> str:
    """Return a path in the folder that nothing has yet."""
    while True:
        path = os.path.join(folder, f"{next(numbers)}.moved")
        if not os.path.lexists(path):
            return path
