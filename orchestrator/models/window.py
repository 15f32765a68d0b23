"""Read pieces of a file that may lie about itself. Each piece lies within the file."""

from __future__ import annotations

import os
import struct
from io import BufferedReader
from typing import BinaryIO

TEXT_BYTES_MAX = 1_000


class Malformed(ValueError):
    """A file is not of the format that the file's ending names."""


class Divided(Malformed):
    """A file is of its format, and lacks what lies in a further file. The message names that file."""


class Window:
    """Look at an opened file. The file is never in memory as a whole: models have gigabytes, and little is asked."""

    def __init__(self, file: BufferedReader) -> None:
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def stream(self) -> BinaryIO:
        """Return the file as a stream of its own, from the beginning. The caller closes it."""
        file = os.fdopen(os.dup(self._descriptor), "rb")
        file.seek(0)
        return file

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Return bytes of the file. Raise Malformed for a piece outside of the file."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise Malformed("a part lies outside of the file")
        found = os.pread(self._descriptor, count, offset)
        if len(found) != count:
            raise Malformed("the file became shorter")
        return found

    def number_at(self, offset: int, form: str) -> int:
        """Return a whole number of a `struct` form, little-endian."""
        (number,) = struct.unpack(f"<{form}", self.bytes_at(offset, struct.calcsize(f"<{form}")))
        return int(number)

    def text_at(self, offset: int, count: int) -> str:
        """Return a name. Raise Malformed for a name of unlikely length."""
        if count > TEXT_BYTES_MAX:
            raise Malformed(f"a name of {count} bytes")
        return self.bytes_at(offset, count).decode("utf-8", "replace")
