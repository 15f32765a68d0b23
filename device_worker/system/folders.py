"""Remove folders with all contents."""

from __future__ import annotations

import os
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator


def remove_tree(path: str) -> None:
    """Remove a folder with all contents as far as possible, and raise no error. Links are removed, not followed.

    A trial may leave any contents: locked folders are unlocked, and nested folders are moved up before removal, so
    that neither depth nor length of paths matters.
    """
    # Not shutil.rmtree: it fails at locked or very deep folders, and imports five compression modules.
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
                _works(os.chmod, inner, 0o700)  # only root can move a folder that cannot be written
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
    """Return an unused path in the folder."""
    while True:
        path = os.path.join(folder, f"{next(numbers)}.moved")
        if not os.path.lexists(path):
            return path
