"""Clear the device of what nobody needs; what stays is named with its reason.

The device's lock is held meanwhile, so that nothing is removed under a runner, and what a killed one has left running
is ended as the next runner would.
"""

from __future__ import annotations

import os
import time

from device_worker import containment
from device_worker.cache import Cache, remove_whole, tree_bytes
from device_worker.device_lock import DeviceLock, busy, read_holder
from device_worker.health import damaged_logs
from device_worker.process_identity import ProcessIdentity
from device_worker.runs import RunStatus, forget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.state_dir import StateDir

_TASK = "devices clean"


class Order:
    """What is to go: the cache or not, and of the runs those that end exactly so."""

    __slots__ = ("cache", "dry_run", "runs")

    def __init__(self, cache: bool, runs: dict[str, tuple[str | None, int | None]], dry_run: bool) -> None:
        self.cache = cache
        self.runs = runs
        self.dry_run = dry_run


class Outcome:
    """What went, and what stays with its reason; `kind` is run, blob, worker or leftover."""

    __slots__ = ("kept", "removed")

    def __init__(self) -> None:
        self.removed: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []

    def remove(self, kind: str, name: str, size: int) -> None:
        """Count something that went."""
        self.removed.append({"kind": kind, "name": name, "bytes": size})

    def keep(self, kind: str, name: str, size: int, reason: str) -> None:
        """Count something that stays."""
        self.kept.append({"kind": kind, "name": name, "bytes": size, "reason": reason})


def take_stock(state: StateDir) -> list[dict[str, Any]]:
    """Return the runs that are here, with how far their logs go and what they take."""
    found = []
    for run_dir in state.known_runs():
        fields = RunStatus(run_dir).to_fields()
        found.append(dict(fields, run=run_dir.run, bytes=tree_bytes(run_dir.path), damaged=len(damaged_logs(run_dir))))
    return found


def clean(state: StateDir, order: Order, worker_sha256: str) -> Outcome:
    """Remove what is ordered and not in use; raise WorkerError if the device is busy."""
    if order.dry_run:
        holder = read_holder(state.lock)
        identity = ProcessIdentity.from_json(holder)
        if identity is not None and identity.is_alive:
            raise busy(holder)
        return _clean(state, order, worker_sha256)
    identity = ProcessIdentity.of_self()
    lock = DeviceLock(state.lock, dict(identity.to_json(), run=None, task=_TASK, since_unix=int(time.time())))
    containment.end_leftovers(ProcessIdentity.from_json(lock.previous))
    try:
        return _clean(state, order, worker_sha256)
    finally:
        lock.release()


def _clean(state: StateDir, order: Order, worker_sha256: str) -> Outcome:
    outcome = Outcome()
    _clean_runs(state, order, outcome)
    if order.cache:
        _clean_cache(state, order, outcome)
        _clean_workers(state, order, worker_sha256, outcome)
        _clean_leftovers(state, order, outcome)
    return outcome


def _clean_runs(state: StateDir, order: Order, outcome: Outcome) -> None:
    for name, (log_id, last_seq) in sorted(order.runs.items()):
        run_dir = state.run_dir(name)
        if not os.path.isdir(run_dir.path):  # removed already: the same order, asked once more after a lost link
            continue
        status, size = RunStatus(run_dir), tree_bytes(run_dir.path)
        if status.pid is not None or (status.log_id, status.last_seq) != (log_id, last_seq):
            outcome.keep("run", name, size, "it has changed since it was looked at")
            continue
        if not order.dry_run:
            forget(run_dir, log_id, last_seq)
            if os.path.isdir(run_dir.path):  # not finished: it was ordered all the same
                remove_whole(run_dir.path)
        outcome.remove("run", name, size)


def _clean_cache(state: StateDir, order: Order, outcome: Outcome) -> None:
    cache = Cache(state)
    with cache.locked():
        needed = cache.in_use(ended_runs=[one["name"] for one in outcome.removed if one["kind"] == "run"])
        for item in cache.items():
            if item.sha256 in needed:
                outcome.keep("blob", item.sha256, item.size, f"needed by {needed[item.sha256]}")
                continue
            if not order.dry_run:
                cache.remove(item)
            outcome.remove("blob", item.sha256, item.size)


def _clean_workers(state: StateDir, order: Order, own: str, outcome: Outcome) -> None:
    """Remove workers of other versions, unless a process was started with one: it imports from there as it goes."""
    for name in sorted(os.listdir(state.worker)):
        path = os.path.join(state.worker, name)
        if name == own or "." in name:
            continue
        size = tree_bytes(path)
        user = _process_started_with(name)
        if user is not None:
            outcome.keep("worker", name, size, f"process {user} runs it")
            continue
        if not order.dry_run:
            remove_whole(path)
        outcome.remove("worker", name, size)


def _clean_leftovers(state: StateDir, order: Order, outcome: Outcome) -> None:
    cache = Cache(state)
    for path in cache.leftovers():
        outcome.remove("leftover", os.path.basename(path), tree_bytes(path))
    if not order.dry_run:
        cache.remove_leftovers()


def _process_started_with(sha256: str) -> int | None:
    word = sha256.encode("ascii", "replace")
    for pid in containment.all_processes():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if word in file.read().split(b"\0"):
                    return pid
        except OSError:
            continue
    return None
