"""Keep only whole bytecode files, even on a full disk."""

from __future__ import annotations

import importlib
import os
from importlib.machinery import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

_importing: Any = importlib._bootstrap_external  # importlib.util has the same, and imports more
MAGIC_NUMBER: bytes = _importing.MAGIC_NUMBER
"""Python's mark of bytecode. Interpreters with equal marks load each other's bytecode."""

cache_from_source: Callable[[str], str] = _importing.cache_from_source


def keep_whole_bytecode() -> None:
    """Remove, from now on, every bytecode file that a full disk has cut short.

    Python takes a short write for a whole write, and renames the file into place. Every later import of the module
    would fail ("marshal data too short"), even after the disk has room again.
    """
    write = SourceFileLoader.set_data

    def write_whole(self: SourceFileLoader, path: str, data: bytes, **options: Any) -> None:
        write(self, path, data, **options)
        try:
            if os.stat(path).st_size != len(data):
                os.unlink(path)
        except OSError:  # the file was not written at all, or another process has removed it already
            pass

    SourceFileLoader.set_data = write_whole  # type: ignore[method-assign,assignment]
