"""Remove unneeded files from the device, and give a reason for each file that stays.

A cleaning holds the device lock, so that no file is removed under a live runner. Before the first removal, the
leftover processes of a killed runner are ended.
"""

from __future__ import annotations

import os
import time

from device_worker.serving.health import damaged_logs
from device_worker.state.cache import Cache, remove_whole, tree_bytes
from device_worker.state.device_lock import DeviceLock, busy, read_holder
from device_worker.state.runs import RunStatus, forget
from device_worker.system.leftovers import end_leftovers
from device_worker.system.process_identity import ProcessIdentity
from device_worker.system.trial_mark import all_processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.state.state_dir import StateDir

_TASK = "devices clean"


class CleanOrder:
    """What to remove: the cache if `cache`, and the runs in `runs`.

    `runs` maps a run to the (log id, last sequence number) that the controller has seen. A run whose log has changed
    since then stays. With `dry_run`, the outcome is reported and no file is removed.
    """

    __slots__ = ("cache", "dry_run", "runs")

    def __init__(self, cache: bool, runs: dict[str, tuple[str | None, int | None]], dry_run: bool) -> None:
        self.cache = cache
        self.runs = runs
        self.dry_run = dry_run


class CleanOutcome:
    """The removed and the kept things, with size in bytes and reason. `kind` is run, blob, worker or leftover."""

    __slots__ = ("kept", "removed")

    def __init__(self) -> None:
        self.removed: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []

    def remove(self, kind: str, name: str, size: int) -> None:
        """Record a removed thing of `size` bytes."""
        self.removed.append({"kind": kind, "name": name, "bytes": size})

    def keep(self, kind: str, name: str, size: int, reason: str) -> None:
        """Record a kept thing of `size` bytes."""
        self.kept.append({"kind": kind, "name": name, "bytes": size, "reason": reason})


def take_stock(state: StateDir) -> list[dict[str, Any]]:
    """Return the runs on the device: state, log id, last sequence number, bytes, count of damaged logs."""
    found = []
    for run_dir in state.known_runs():
        fields = RunStatus(run_dir).to_fields()
        found.append(dict(fields, run=run_dir.run, bytes=tree_bytes(run_dir.path), damaged=len(damaged_logs(run_dir))))
    return found


def clean(state: StateDir, order: CleanOrder, worker_sha256: str) -> CleanOutcome:
    """Remove all ordered things that are not in use. Raise WorkerError (DEVICE_BUSY) if a runner is at work."""
    if order.dry_run:  # read the lock without taking it, so that a dry run never keeps a runner out
        holder = read_holder(state.lock)
        identity = ProcessIdentity.from_json(holder)
        if identity is not None and identity.is_alive:
            raise busy(holder)
        return _clean(state, order, worker_sha256)
    identity = ProcessIdentity.of_self()
    lock = DeviceLock(state.lock, dict(identity.to_json(), run=None, task=_TASK, since_unix=int(time.time())))
    end_leftovers(state.path, ProcessIdentity.from_json(lock.previous))
    try:
        return _clean(state, order, worker_sha256)
    finally:
        lock.release()


def _clean(state: StateDir, order: CleanOrder, worker_sha256: str) -> CleanOutcome:
    outcome = CleanOutcome()
    _clean_runs(state, order, outcome)
    if order.cache:
        _clean_cache(state, order, outcome)
        _clean_workers(state, order, worker_sha256, outcome)
        _clean_leftovers(state, order, outcome)
    return outcome


def _clean_runs(state: StateDir, order: CleanOrder, outcome: CleanOutcome) -> None:
    for name, (log_id, last_seq) in sorted(order.runs.items()):
        run_dir = state.run_dir(name)
        if not os.path.isdir(run_dir.path):  # removed already: the controller repeats an order after a lost link
            continue
        status, size = RunStatus(run_dir), tree_bytes(run_dir.path)
        if status.pid is not None or (status.log_id, status.last_seq) != (log_id, last_seq):
            outcome.keep("run", name, size, "the run has changed since the controller looked")
            continue
        if not order.dry_run:
            forget(run_dir, log_id, last_seq)
            if os.path.isdir(run_dir.path):  # `forget` keeps an unfinished run, but a person has named this very run
                remove_whole(run_dir.path)
        outcome.remove("run", name, size)


def _clean_cache(state: StateDir, order: CleanOrder, outcome: CleanOutcome) -> None:
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


def _clean_workers(state: StateDir, order: CleanOrder, own: str, outcome: CleanOutcome) -> None:
    """Remove workers of other versions, except workers in use by a live process."""
    # A process imports modules from its worker's folder as it goes, long after its start.
    for name in sorted(os.listdir(state.worker)):
        path = os.path.join(state.worker, name)
        if name == own or "." in name:  # a dot marks an unfinished installation or removal: see _clean_leftovers
            continue
        size = tree_bytes(path)
        user = _process_started_with(name)
        if user is not None:
            outcome.keep("worker", name, size, f"process {user} runs it")
            continue
        if not order.dry_run:
            remove_whole(path)
        outcome.remove("worker", name, size)


def _clean_leftovers(state: StateDir, order: CleanOrder, outcome: CleanOutcome) -> None:
    cache = Cache(state)
    for path in cache.leftovers():
        outcome.remove("leftover", os.path.basename(path), tree_bytes(path))
    if not order.dry_run:
        cache.remove_leftovers()


def _process_started_with(sha256: str) -> int | None:
    word = sha256.encode("ascii", "replace")
    for pid in all_processes():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if word in file.read().split(b"\0"):
                    return pid
        except OSError:
            continue
    return None
