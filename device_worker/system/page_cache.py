"""Let the kernel read files anew, so that their contents lie in other pages of memory.

The place of a library's code in physical memory decides which of its lines share a set of the processor's caches. The
page cache keeps a place until memory is short. Sources: posix_fadvise(2) and mincore(2).
"""

from __future__ import annotations

import os

from device_worker.system.libc import load_mincore

_READ_BYTES_MAX = 1 << 20


class DroppedFile:
    """A file that was dropped from the page cache. The caller reads it again, or closes it."""

    __slots__ = ("_fd", "_ranges", "path")

    def __init__(self, path: str, fd: int, ranges: list[tuple[int, int]]) -> None:
        self.path = path
        self._fd = fd
        self._ranges = ranges

    def read_again(self) -> int:
        """Bring back what was in the page cache, and close the file. Return the number of bytes, 0 after an error."""
        try:
            # Else the kernel reads ahead, and more of the file is in the cache each time.
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_RANDOM)
            return sum(
                len(os.pread(self._fd, min(_READ_BYTES_MAX, end - offset), offset))
                for begin, end in self._ranges
                for offset in range(begin, end, _READ_BYTES_MAX)
            )
        except OSError:  # the trial that needs the file will tell
            return 0
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def drop(path: str) -> DroppedFile | None:
    """Drop a file from the page cache, except for pages that a process maps or that are not on the disk yet.

    Return None if nothing of the file is in the cache, or if the device cannot tell. Raise OSError.
    """
    if not hasattr(os, "posix_fadvise"):  # some C libraries lack the call
        return None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ranges = _find_cached_ranges(fd)
        if ranges:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            return DroppedFile(path, fd, ranges)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _find_cached_ranges(fd: int) -> list[tuple[int, int]]:
    """Return the ranges of bytes that are in the page cache."""
    try:
        import mmap
    except ImportError:
        return []
    size, mincore = os.fstat(fd).st_size, load_mincore()
    if size == 0 or mincore is None:
        return []
    # Private and writable, although nothing is written: only such a mapping gives its address.
    with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        flags = mincore(mapped, -(-size // mmap.PAGESIZE))
    return [(first * mmap.PAGESIZE, min(last * mmap.PAGESIZE, size)) for first, last in _runs_of(flags)]


def _runs_of(flags: bytes) -> list[tuple[int, int]]:
    """Return the runs of flags with the lowest bit set, each as the first place and the place behind."""
    runs = []
    begin: int | None = None
    for place, flag in enumerate(flags + b"\0"):
        if flag & 1 and begin is None:
            begin = place
        elif not flag & 1 and begin is not None:
            runs.append((begin, place))
            begin = None
    return runs
