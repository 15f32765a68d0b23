"""Hash files of models. An unchanged file is hashed once in a process, and whoever watches is told the progress."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import BufferedReader

Watch = Callable[[str, int, int], None]
"""Takes the name of a file, the count of bytes done, and the count of all bytes. Both counts are equal at the end."""

_CHUNK_BYTES = 1 << 20

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
_known: dict[tuple[int, ...], str] = {}


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Have `watch` called while this thread reads files of models."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def sha256_of(file: BufferedReader, name: str) -> str:
    """Return the hash of an opened file. A file of the same inode, size and dates counts as unchanged."""
    before = _identity(file)
    found = _known.get(before)
    if found is None:
        found = sha256_anew(file, name)
        # A file that changes meanwhile has a hash of no moment.
        if _identity(file) == before:
            _known[before] = found
    return found


def sha256_anew(file: BufferedReader, name: str) -> str:
    """Return the hash of an opened file, read from its beginning to its end."""
    digest = hashlib.sha256()
    for chunk in chunks_of(file, name):
        digest.update(chunk)
    return digest.hexdigest()


def chunks_of(file: BufferedReader, name: str) -> Iterator[bytes]:
    """Yield the content of an opened file from its beginning, and tell the progress."""
    watch = _watch.get()
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    done = 0
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
        done += len(chunk)
        if watch is not None and done < size:
            watch(name, done, size)
    if watch is not None:
        watch(name, size, size)


def _identity(file: BufferedReader) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
