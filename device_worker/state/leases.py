"""Refuse to start a run under a lease after a newer lease of the same device.

The controller's database gives each lease of a device a token, larger than all tokens before. The device remembers the
largest token of each origin: a database, and the device's name in the database. A controller therefore cannot start a
runner after sleeping through the end of a lease. A renamed device is a new origin, since tokens begin at 1 again.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.state.event_log import sync_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from device_worker.protocol.start import Lease
    from device_worker.state.state_dir import StateDir

_ORIGINS_MAX = 64


class LeaseBook:
    """The largest token of each origin so far, kept over power cuts."""

    def __init__(self, state: StateDir) -> None:
        self._folder = state.path
        self._path = state.leases

    def admit(self, lease: Lease) -> None:
        """Remember a lease. Raise WorkerError (STALE_LEASE) if the origin has given a larger token before."""
        with self._locked():
            tokens = self._read()
            if lease.token < tokens.get(lease.origin, 0):
                raise _stale(lease)
            if lease.token == tokens.get(lease.origin):
                return
            tokens.pop(lease.origin, None)
            tokens[lease.origin] = lease.token  # at the end of the order: the longest unused origin is forgotten first
            kept = dict(list(tokens.items())[-_ORIGINS_MAX:])
            self._write(json.dumps(kept).encode("ascii"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the state folder against other workers while the book is read and written."""
        # Lock the folder itself: a lock file would stay behind in the folder.
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
        except ValueError:  # only a person's edit can break the file. The database still fences late controllers.
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
        f"the lease of {lease.holder} has ended: the device has been under a newer lease since",
        "benchfleet devices list says who; was the database restored from a backup? Then remove STATE_DIR/leases there",
    )
