"""Draw anew, for each attempt, what a run otherwise fixes by chance: places in memory that no build decides.

All trials of a run would share one draw, and the interval of their values would say nothing of another run.
"""

from __future__ import annotations

import os
import zlib

from device_worker.system.page_cache import drop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.system.page_cache import DroppedFile

PADDING_VARIABLE = "BENCHFLEET_PADDING"
"""Fills the environment of a trial, so that the stack begins elsewhere."""

_PADDING_BYTES_MAX = 4096
_FILE_BYTES_MAX = 64 << 20  # a larger file has so many pages that one draw is like any other


class Placement:
    """The placement of an attempt. `renewed_bytes` counts the bytes that lie elsewhere in memory than before."""

    __slots__ = ("padding_bytes", "renewed_bytes")

    def __init__(self, padding_bytes: int, renewed_bytes: int) -> None:
        self.padding_bytes = padding_bytes
        self.renewed_bytes = renewed_bytes

    def to_json(self) -> dict[str, int]:
        """Return the placement as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__}


class Placements:
    """The placements of a run. `seed` is the plan's: the same attempt has the same padding in every run of the plan."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._libraries: dict[str, list[str]] = {}

    def draw(self, trial: str, bundles: list[str], files: list[str], *, is_measured: bool) -> Placement:
        """Give the libraries of bundles, and files, other pages of memory, and return the placement.

        A preflight reads nothing again of a bundle that the runner has not seen yet, so that only what trials use comes
        back. A measured trial, the first one of a runner after a resume, would load from the disk.
        """
        draw = f"{self._seed} {trial}"
        unseen = [bundle for bundle in bundles if bundle not in self._libraries]
        for bundle in unseen:
            self._libraries[bundle] = _find_libraries(bundle)
        renewed = [
            path for bundle in bundles if is_measured or bundle not in unseen for path in self._libraries[bundle]
        ]
        if not is_measured:
            for path in (path for bundle in unseen for path in self._libraries[bundle]):
                dropped = _drop(path)
                if dropped is not None:
                    dropped.close()
        return Placement(_number(draw) % _PADDING_BYTES_MAX, _renew([*renewed, *files], draw))


def _renew(paths: list[str], draw: str) -> int:
    """Drop files and read the same pages again, in an order of chance. Return the number of bytes."""
    # All are dropped before the first is read: a page just freed is the next to be used.
    dropped = [_drop(path) for path in sorted(paths, key=lambda path: _number(f"{draw} {path}"))]
    again = sorted(filter(None, dropped), key=lambda file: _number(f"again {draw} {file.path}"))
    return sum(file.read_again() for file in again)


def _drop(path: str) -> DroppedFile | None:
    """Drop a file from the page cache. Return None if the file is large, gone or not there."""
    try:
        return drop(path) if os.stat(path).st_size <= _FILE_BYTES_MAX else None
    except OSError:  # what the trial needs and lacks, the trial will tell
        return None


def _find_libraries(folder: str) -> list[str]:
    return [
        os.path.join(parent, name)
        for parent, _folders, names in os.walk(folder)
        for name in names
        if name.endswith(".so") or ".so." in name
    ]


def _number(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogateescape"))
