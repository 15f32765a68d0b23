"""Keep no bytecode that a full disk cut short."""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def keep_whole_bytecode() -> None:
    """Remove, from now on, the bytecode that Python could not write as a whole.

    It takes a short write for a whole one and renames the file into place; from then on every import of that module
    would fail ("marshal data too short"), long after the disk has room again.
    """
    write = SourceFileLoader.set_data

    def write_whole(self: SourceFileLoader, path: str, data: bytes, **options: Any) -> None:
        write(self, path, data, **options)
        try:
            if os.stat(path).st_size != len(data):
                os.unlink(path)
        except OSError:  # it was not written at all, or another process was faster
            pass

    SourceFileLoader.set_data = write_whole  # type: ignore[method-assign,assignment]
