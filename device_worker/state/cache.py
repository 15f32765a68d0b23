"""Keep the cache of blobs and unpacked bundles within a limit, and remove the least recently used items first.

An item is all files of a SHA-256: the blob, the partial upload and the unpacked folder. An item is needed if the plan
of a run folder names the SHA-256, or if a live conversation has claimed the SHA-256. Needed items are never removed.
Claims and removals share a lock, so that two sessions never count on the same free bytes.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager

from device_worker.protocol.fields import is_sha256
from device_worker.state.claims import Claims
from device_worker.state.state_dir import names_in
from device_worker.system import mounts
from device_worker.system.folders import remove_tree
from device_worker.system.process_identity import read_start_ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterable, Iterator

    from device_worker.state.state_dir import StateDir

PARTIAL = ".partial"
_REMOVED = ".removed-"
_FORGOTTEN = ".forgotten-"


class CacheEntry:
    """All files and folders of a SHA-256 in the cache: `size` in bytes on the disk, `used_ns` since the epoch."""

    __slots__ = ("paths", "sha256", "size", "used_ns")

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256
        self.paths: list[str] = []
        self.size = 0
        self.used_ns = 0

    def add(self, path: str) -> None:
        """Add a file or a folder to the item, with size and time of use."""
        self.paths.append(path)
        self.size += tree_bytes(path)
        self.used_ns = max(self.used_ns, os.lstat(path).st_mtime_ns)


class Cache:
    """The blobs, unpacked bundles and claims of a state folder."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self.claims = Claims(state.claims)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the cache's lock: no other process may claim, make room or clean in the meantime."""
        fd = os.open(self._state.cache_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def claim(self, sha256s: Collection[str]) -> None:
        """Claim blobs for the calling process, and mark the present blobs as used now."""
        self.claims.make(sha256s)
        for sha256 in sha256s:
            for folder in (self._state.blobs, self._state.bundles):
                try:
                    # The modification time serves as the time of use, by which `make_room` sorts.
                    os.utime(os.path.join(folder, sha256))
                except FileNotFoundError:
                    pass

    def make_room(self, needed_bytes: int, bytes_max: int | None) -> int:
        """Remove the least recently used items until `needed_bytes` more bytes fit, and return the bytes freed.

        `bytes_max` is the limit of the whole cache, and None means the free disk alone. The bytes may not fit
        afterwards, since needed items stay. The caller's write then fails with a full disk.
        """
        if needed_bytes <= 0:
            return 0
        self.remove_leftovers()
        items = self.items()
        total = sum(item.size for item in items)
        needed_items = self.in_use()
        freed = 0
        for item in sorted(items, key=lambda item: item.used_ns):
            fits_disk = needed_bytes <= mounts.free_bytes(self._state.blobs)
            if fits_disk and (bytes_max is None or total - freed + needed_bytes <= bytes_max):
                break
            if item.sha256 not in needed_items:
                self.remove(item)
                freed += item.size
        return freed

    def items(self) -> list[CacheEntry]:
        """Return the items of the cache, in no certain order."""
        found: dict[str, CacheEntry] = {}
        for folder in (self._state.blobs, self._state.bundles):
            for name in names_in(folder):
                sha256 = name[: -len(PARTIAL)] if name.endswith(PARTIAL) else name
                if is_sha256(sha256):
                    try:
                        found.setdefault(sha256, CacheEntry(sha256)).add(os.path.join(folder, name))
                    except FileNotFoundError:  # an upload has just given the partial its final name
                        pass
        return list(found.values())

    def in_use(self, ended_runs: Collection[str] = ()) -> dict[str, str]:
        """Return the SHA-256 of each needed item, with the user: `session PID` or `run NAME`.

        The plans of `ended_runs` do not count, since the caller is about to remove the folders of these runs.
        """
        needed = {sha256: f"session {pid}" for sha256, pid in self.claims.alive().items()}
        for run_dir in self._state.known_runs():
            if run_dir.run not in ended_runs:
                needed.update((sha256, f"run {run_dir.run}") for sha256 in _named_by_plan(run_dir.plan))
        return needed

    def remove(self, item: CacheEntry) -> None:
        """Remove an item, and never leave a part of an item under the final name."""
        for path in item.paths:
            remove_whole(path)

    def remove_leftovers(self) -> None:
        """Remove the remains of interrupted removals and installations."""
        for path in self.leftovers():
            remove_tree(path)

    def leftovers(self) -> list[str]:
        """Return the half installed and half removed folders of ended processes.

        The process number in the folder's name decides. If another process has got the same number, the folder stays
        until the other process ends too.
        """
        state = self._state
        # Age cannot decide: the clock of a board may jump at any time, in both directions.
        marks = [(state.worker, PARTIAL), (state.runs, _FORGOTTEN)]
        marks += [(folder, _REMOVED) for folder in (state.worker, state.runs, state.blobs, state.bundles)]
        found = [(folder, name) for folder, mark in marks for name in names_in(folder) if mark in name]
        return [os.path.join(folder, name) for folder, name in found if _is_broken_off(name)]


def remove_whole(path: str) -> None:
    """Remove a file or a folder. A missing path is no error."""
    if os.path.isdir(path) and not os.path.islink(path):
        # Rename first: after a crash in remove_tree, half a bundle must not lie under the name of a complete bundle.
        gone = os.path.join(os.path.dirname(path), f"{_REMOVED}{os.path.basename(path)}.{os.getpid()}")
        os.rename(path, gone)
        remove_tree(gone)
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def tree_bytes(path: str) -> int:
    """Return the size of a file or a folder on the disk, in bytes."""
    total = 0
    for one in _walk(path):
        try:
            status = os.lstat(one)
        except FileNotFoundError:
            continue
        total += status.st_blocks * 512  # always of 512 bytes, whatever the file system's own blocks are: stat(2)
    return total


def _is_broken_off(name: str) -> bool:
    """Return True if the folder's name ends in the number of an ended process. `.partial` may follow."""
    pid = (name[: -len(PARTIAL)] if name.endswith(PARTIAL) else name).rpartition(".")[2]
    return pid.isdigit() and read_start_ticks(int(pid)) is None


def _walk(path: str) -> Iterator[str]:
    yield path
    if os.path.islink(path):
        return
    for folder, folders, names in os.walk(path):
        for name in folders + names:
            yield os.path.join(folder, name)


def _named_by_plan(plan: str) -> Iterable[str]:
    """Return the SHA-256s of a run's plan and of all blobs in the plan, or none if the plan is unreadable."""
    try:
        with open(plan, "rb") as file:
            blobs = json.loads(file.read().decode("utf-8"))["blobs"]
        return [os.path.basename(os.readlink(plan)), *(str(blob["sha256"]) for blob in blobs)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
