"""Refuse to start anything under a lease that a newer one has followed.

The controller's database gives each lease of a device a token, larger than any before. The device remembers the largest
that it has seen of each database under each of its names there, so that a controller that slept through the end of its
lease cannot start a runner, and a device that is renamed is a new one.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager

from device_worker.errors import WorkerError
from device_worker.event_log import sync_folder
from device_worker.protocol.limits import INTEGER_MAX
from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator

    from device_worker.state_dir import StateDir

_ORIGINS_MAX = 64
_TEXT_MAX = 200
_ESTIMATE_S_MAX = 10**8


class Lease:
    """Under what a controller starts a run: a token, who it is, about how long it will take.

    `origin` is where the token comes from: the database, and the name that it has for the device.
    """

    __slots__ = ("estimate_s", "holder", "origin", "token")

    def __init__(self, origin: str, token: int, holder: str, estimate_s: float | None) -> None:
        self.origin = origin
        self.token = token
        self.holder = holder
        self.estimate_s = estimate_s

    @classmethod
    def parse(cls, value: Any) -> Lease | None:
        """Return the lease of a `start`, None for a controller that names none; refuse anything else."""
        if value is None:
            return None
        found = value if isinstance(value, dict) else {}
        database, device, token = found.get("database"), found.get("device"), found.get("token")
        holder, estimate_s = found.get("holder"), found.get("estimate_s")
        is_estimate = estimate_s is None or (
            type(estimate_s) in (int, float) and 0 <= estimate_s <= _ESTIMATE_S_MAX  # not a NaN
        )
        if not (_is_text(database) and _is_text(device) and _is_text(holder) and is_estimate) or (
            type(token) is not int or not 0 < token <= INTEGER_MAX
        ):
            raise WorkerError(ErrorKind.BAD_REQUEST, f"start: lease is {str(value)[:120]}")
        return cls(f"{database}/{device}", token, str(holder), estimate_s)


class LeaseBook:
    """The largest token that the device has seen of each database, kept over power cuts."""

    def __init__(self, state: StateDir) -> None:
        self._folder = state.path
        self._path = state.leases

    def admit(self, lease: Lease) -> None:
        """Remember a lease; raise WorkerError for one that is older than what the device has seen."""
        with self._locked():
            tokens = self._read()
            if lease.token < tokens.get(lease.origin, 0):
                raise _stale(lease)
            if lease.token == tokens.get(lease.origin):
                return
            tokens.pop(lease.origin, None)
            tokens[lease.origin] = lease.token  # the latest last: the one unheard of for longest is forgotten
            kept = dict(list(tokens.items())[-_ORIGINS_MAX:])
            self._write(json.dumps(kept).encode("ascii"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other workers of this device out; the folder itself is the lock, and leaves no file behind."""
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _read(self) -> dict[str, int]:
        try:
            with open(self._path, "rb") as file:
                found = json.loads(file.read().decode("ascii"))
        except FileNotFoundError:
            return {}
        except ValueError:  # nobody but a person writes anything else: the database still fences
            return {}
        tokens = found if isinstance(found, dict) else {}
        return {name: token for name, token in tokens.items() if type(token) is int}

    def _write(self, data: bytes) -> None:
        partial = self._path + ".partial"
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(partial, self._path)
        sync_folder(self._folder)


def _stale(lease: Lease) -> WorkerError:
    return WorkerError(
        ErrorKind.STALE_LEASE,
        f"the lease of {lease.holder} is not the newest of its database: somebody else has had the device since",
        "benchfleet devices list says who; was the database restored from a backup? Then remove STATE_DIR/leases there",
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_MAX and value.isprintable()
