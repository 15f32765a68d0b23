"""Open the zip archives that PyTorch writes, and read members of bounded size."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.models.window import Malformed, Window

_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, KeyError, NotImplementedError),
    *(RuntimeError, EOFError, OSError, ValueError),
)


class TorchArchive:
    """Hold an opened archive. All members lie below one folder, whose name is anything."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {name.partition("/")[2]: name for name in archive.namelist() if "/" in name}
        self._names.update({name: name for name in archive.namelist() if "/" not in name})

    @property
    def names(self) -> list[str]:
        """Return the names of members, without the folder of all."""
        return list(self._names)

    def read(self, name: str, bytes_max: int) -> bytes:
        """Return a member. Raise Malformed for one that is absent, or larger than `bytes_max`."""
        if name not in self._names:
            raise Malformed(f"it has no member {name!r}")
        info = self._archive.getinfo(self._names[name])
        with self._archive.open(info) as member:
            # The size that the archive states may be a lie.
            content = member.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise Malformed(f"its member {name!r} has more than {bytes_max} bytes")
        return content


@contextmanager
def opened(window: Window) -> Iterator[TorchArchive]:
    """Open the archive of a file. Raise Malformed for a file that is none, or broken."""
    try:
        with window.stream() as file, zipfile.ZipFile(file) as archive:
            yield TorchArchive(archive)
    except Malformed:
        raise
    except _BROKEN as error:
        raise Malformed(f"it is no zip archive, as PyTorch writes since version 1.6: {error}") from None
