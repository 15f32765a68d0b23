"""Name all files and folders of the worker on the device."""

from __future__ import annotations

import os

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class RunDir:
    """The folder of a run: log, plan, and the files of the runner."""

    __slots__ = ("cancel", "log", "log_reserve", "path", "pid", "plan", "run", "runner_log", "wake", "work")

    def __init__(self, path: str, run: str) -> None:
        self.run = run
        self.path = path
        self.log = os.path.join(path, "log")
        self.plan = os.path.join(path, "plan.json")
        self.runner_log = os.path.join(path, "runner.log")
        self.pid = os.path.join(path, "pid")
        self.wake = os.path.join(path, "wake")
        self.cancel = os.path.join(path, "cancel")
        self.log_reserve = os.path.join(path, "reserve")
        self.work = os.path.join(path, "work")

    @property
    def state_dir(self) -> str:
        """The state folder."""
        return os.path.dirname(os.path.dirname(self.path))

    @property
    def exists(self) -> bool:
        """Whether the run's log exists and is not empty."""
        try:
            return os.stat(self.log).st_size > 0
        except FileNotFoundError:
            return False


class StateDir:
    """The state folder. The worker writes to no other folder of the device."""

    __slots__ = ("blobs", "bundles", "cache_lock", "claims", "governor", "leases", "lock", "path", "runs", "worker")

    def __init__(self, path: str) -> None:
        self.path = path
        self.worker = os.path.join(path, "worker")
        self.claims = os.path.join(path, "claims")
        self.cache_lock = os.path.join(path, "cache.lock")
        self.blobs = os.path.join(path, "blobs")
        self.bundles = os.path.join(path, "bundles")
        self.runs = os.path.join(path, "runs")
        self.lock = os.path.join(path, "lock")
        self.leases = os.path.join(path, "leases")
        self.governor = os.path.join(path, "governor")

    def make(self) -> None:
        """Create the folders, private to the worker's user."""
        for path in (self.path, self.blobs, self.bundles, self.runs, self.claims):
            os.makedirs(path, 0o700, exist_ok=True)

    def run_dir(self, run: object) -> RunDir:
        """Return the folder of a run, existing or not. Raise WorkerError (BAD_REQUEST) unless `run` is a file name."""
        if not isinstance(run, str) or not 0 < len(run) <= 128 or run[0] == "." or not _NAME_CHARACTERS.issuperset(run):
            raise WorkerError(ErrorKind.BAD_REQUEST, f"not the name of a run: {run!r}")
        return RunDir(os.path.join(self.runs, run), run)

    def known_runs(self) -> list[RunDir]:
        """Return the folders of all runs on the device, sorted by name."""
        names = names_in(self.runs)
        return [RunDir(os.path.join(self.runs, name), name) for name in names if not name.startswith(".")]


def names_in(folder: str) -> list[str]:
    """Return the sorted names in a folder, or an empty list if the folder does not exist."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
