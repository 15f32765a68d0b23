"""Keep blobs and unpacked bundles within bounds: the least recently used goes first, never one that is needed.

An item is everything that is named by one SHA-256: the blob, what of it has arrived so far, and what it unpacks to.
Needed is what the plan of a run folder names, and what a live conversation has claimed. All of this happens under one
lock, so that two sessions never count the same room twice.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager

from device_worker import mounts
from device_worker.claims import Claims
from device_worker.folders import remove_tree
from device_worker.process_identity import read_start_ticks
from device_worker.state_dir import is_sha256, names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterable, Iterator

    from device_worker.state_dir import StateDir

PARTIAL = ".partial"
_REMOVED = ".removed-"
_FORGOTTEN = ".forgotten-"


class Item:
    """Everything in the cache that has one SHA-256."""

    __slots__ = ("paths", "sha256", "size", "used_ns")

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256
        self.paths: list[str] = []
        self.size = 0
        self.used_ns = 0

    def add(self, path: str) -> None:
        """Count a file or folder to the item."""
        self.paths.append(path)
        self.size += tree_bytes(path)
        self.used_ns = max(self.used_ns, os.lstat(path).st_mtime_ns)


class Cache:
    """The cache of one state folder."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self.claims = Claims(state.claims)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else claim, make room or clean meanwhile."""
        fd = os.open(self._state.cache_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def claim(self, sha256s: Collection[str]) -> None:
        """Claim blobs for the calling process, and note that those that are here are used now."""
        self.claims.make(sha256s)
        for sha256 in sha256s:
            for folder in (self._state.blobs, self._state.bundles):
                try:
                    os.utime(os.path.join(folder, sha256))
                except FileNotFoundError:
                    pass

    def make_room(self, needed_bytes: int, bytes_max: int | None) -> int:
        """Remove what was not used for longest, until what is needed fits; return how many bytes that freed.

        It may still not fit afterwards: then all the rest is needed, and whoever writes meets the end of the disk.
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

    def items(self) -> list[Item]:
        """Return what is in the cache."""
        found: dict[str, Item] = {}
        for folder in (self._state.blobs, self._state.bundles):
            for name in names_in(folder):
                sha256 = name[: -len(PARTIAL)] if name.endswith(PARTIAL) else name
                if is_sha256(sha256):
                    try:
                        found.setdefault(sha256, Item(sha256)).add(os.path.join(folder, name))
                    except FileNotFoundError:  # an upload was just completed
                        pass
        return list(found.values())

    def in_use(self, ended_runs: Collection[str] = ()) -> dict[str, str]:
        """Return what must stay, each with who needs it; runs that are about to be removed need nothing."""
        needed = {sha256: f"session {pid}" for sha256, pid in self.claims.alive().items()}
        for run_dir in self._state.known_runs():
            if run_dir.run not in ended_runs:
                needed.update((sha256, f"run {run_dir.run}") for sha256 in _named_by_plan(run_dir.plan))
        return needed

    def remove(self, item: Item) -> None:
        """Remove an item so that nothing of it is ever taken for whole."""
        for path in item.paths:
            remove_whole(path)

    def remove_leftovers(self) -> None:
        """Remove what broken-off removals and installations left."""
        for path in self.leftovers():
            remove_tree(path)

    def leftovers(self) -> list[str]:
        """Return the folders that were being installed or removed by a process that has ended.

        Their age says nothing, because clocks jump. Where their process's number is used again, they stay a while.
        """
        state = self._state
        marks = [(state.worker, PARTIAL), (state.runs, _FORGOTTEN)]
        marks += [(folder, _REMOVED) for folder in (state.worker, state.runs, state.blobs, state.bundles)]
        found = [(folder, name) for folder, mark in marks for name in names_in(folder) if mark in name]
        return [os.path.join(folder, name) for folder, name in found if _is_broken_off(name)]


def remove_whole(path: str) -> None:
    """Remove a file or a folder; a folder is renamed first, so that a half of it is never taken for the whole."""
    if os.path.isdir(path) and not os.path.islink(path):
        gone = os.path.join(os.path.dirname(path), f"{_REMOVED}{os.path.basename(path)}.{os.getpid()}")
        os.rename(path, gone)
        remove_tree(gone)
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def tree_bytes(path: str) -> int:
    """Return the room that a file or a folder takes on the disk."""
    total = 0
    for one in _walk(path):
        try:
            status = os.lstat(one)
        except FileNotFoundError:
            continue
        total += status.st_blocks * 512
    return total


def _is_broken_off(name: str) -> bool:
    """Say whether the process has ended that a folder is named by, at its end but for a mark; not where none is."""
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
    """Return the blobs that a run's plan names, itself among them."""
    try:
        with open(plan, "rb") as file:
            blobs = json.loads(file.read().decode("utf-8"))["blobs"]
        return [os.path.basename(os.readlink(plan)), *(str(blob["sha256"]) for blob in blobs)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
