"""Remove folders with all that is in them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


def remove_tree(path: str) -> None:
    """Remove a folder, as far as that is possible; links in it are removed, not followed.

    Not by shutil, which imports five compression modules: each session and each runner would pay for them.
    """
    if os.path.islink(path):
        return
    for folder, folders, names in os.walk(path, topdown=False):
        for name in names:
            _try(os.unlink, os.path.join(folder, name))
        for name in folders:
            inner = os.path.join(folder, name)
            _try(os.unlink if os.path.islink(inner) else os.rmdir, inner)
    _try(os.rmdir, path)


def _try(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError:
        pass
