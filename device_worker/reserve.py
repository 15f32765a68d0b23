"""Hold the room that a run's log will need, so that what a runner measures it can also record.

The estimate is that of the plan: a record's own size, the samples that a trial is likely to bring, the outputs of
preflights. It is laid aside as a file of real blocks before the first trial, and given back piece by piece just before
each record is written. What is never given back is a remainder, with which a full disk can still be told of.
"""

from __future__ import annotations

import errno
import os

from device_worker import mounts
from device_worker.errors import WorkerError, is_disk_full
from device_worker.protocol.vocabulary import ErrorKind, TrialKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from device_worker.plan import Plan

REMAINDER_BYTES = 64 << 10
RECORD_BYTES = 4 << 10
_OUTPUTS_BYTES = 88 << 10  # at most 64 KiB, in base64
_SAMPLES_PER_S = 5000
_BYTES_PER_SAMPLE = 4  # about three, in base64
_NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def result_bytes(plan: Plan, trial: dict[str, Any]) -> int:
    """Return how long the record of one attempt is likely to be."""
    if trial["kind"] == TrialKind.PREFLIGHT:
        return RECORD_BYTES + _OUTPUTS_BYTES
    measure = plan.measure
    runs: int = min(max(measure["runs_min"], int(measure["seconds_min"] * _SAMPLES_PER_S)), measure["runs_max"])
    return RECORD_BYTES + runs * _BYTES_PER_SAMPLE


def log_bytes(plan: Plan, trials: Iterable[dict[str, Any]]) -> int:
    """Return how much the log is likely to grow by these trials, repeated as often as the plan allows for."""
    attempts = 1 + plan.retries["invalid"]
    return sum((RECORD_BYTES + result_bytes(plan, trial)) * attempts for trial in trials)


class Reserve:
    """The file of one run that takes up the room; an empty place where the file system cannot hold any."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._size = 0

    def lay(self, needed_bytes: int) -> None:
        """Take up this much room and the remainder, or raise WorkerError with the figures and take up none."""
        size = needed_bytes + REMAINDER_BYTES
        self.release()
        if size > mounts.free_bytes(os.path.dirname(self._path)):  # do not even try: others write to this disk too
            raise _too_little(size, os.path.dirname(self._path))
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            self.release()
            if is_disk_full(error):
                raise _too_little(size, os.path.dirname(self._path)) from None
            if error.errno not in _NO_FALLOCATE:
                raise
            return
        finally:
            os.close(fd)
        self._size = size

    def give_back(self, count: int) -> None:
        """Let the log have this much; the remainder stays."""
        left = max(min(self._size, REMAINDER_BYTES), self._size - count)
        if left != self._size:
            os.truncate(self._path, left)
            self._size = left

    def release(self) -> None:
        """Give all of it back."""
        self._size = 0
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass


def _too_little(needed: int, folder: str) -> WorkerError:
    free = mounts.free_bytes(folder)
    return WorkerError(
        ErrorKind.DISK_FULL,
        f"the log of this run needs about {needed / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free in {folder}",
        "free space on the device (benchfleet devices clean), or set its state_dir to a larger file system",
        needed_bytes=needed,
        free_bytes=free,
    )
