"""Reserve the disk room for a run's log, so that a runner can record every measured result.

The estimate comes from the plan: the records, the likely number of samples and the outputs of preflights. A file of
real blocks takes up the room before the first trial. Just before each record, the file is cut by the record's size. A
remainder stays until the end, for the record of a full disk.
"""

from __future__ import annotations

import errno
import os

from device_worker.protocol.errors import WorkerError, is_disk_full
from device_worker.protocol.printable import byte_count_text
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.system import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable

    from device_worker.protocol.plan import Plan, PlannedTrial

REMAINDER_BYTES = 64 << 10
RECORD_BYTES = 4 << 10
_OUTPUTS_BYTES = 88 << 10  # at most 64 KiB, in base64
_INPUT_RESULTS_BYTES = 8 << 10  # about 49,000 inputs, a bit each, in base64
_SAMPLES_PER_S = 5000
_BYTES_PER_SAMPLE = 4  # about three, in base64
_NO_FALLOCATE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def result_bytes(plan: Plan, trial: PlannedTrial) -> int:
    """Return the likely length in bytes of an attempt's record."""
    if not trial.is_measured:
        judged = plan.jobs[trial.job].accuracy_metric is not None
        return RECORD_BYTES + _OUTPUTS_BYTES + judged * _INPUT_RESULTS_BYTES
    measure = plan.measure
    runs = min(max(measure.runs_min, int(measure.seconds_min * _SAMPLES_PER_S)), measure.runs_max)
    return RECORD_BYTES + runs * _BYTES_PER_SAMPLE


def log_bytes(plan: Plan, trials: Iterable[PlannedTrial]) -> int:
    """Return the likely growth of the log in bytes by `trials`, each with all retries of the plan."""
    attempts = 1 + plan.retries.invalid
    return sum((RECORD_BYTES + result_bytes(plan, trial)) * attempts for trial in trials)


class LogReserve:
    """The file of reserved room for a run's log. Some file systems cannot allocate blocks, and then have no file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._size = 0

    def lay(self, needed_bytes: int) -> None:
        """Take up `needed_bytes` and the remainder, or raise WorkerError (DISK_FULL) with the figures."""
        size = needed_bytes + REMAINDER_BYTES
        self.release()
        # Ask first: an allocation that fails has filled the disk for a moment, and others write to the same disk.
        if size > mounts.free_bytes(os.path.dirname(self._path)):
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
        """Give `count` bytes to the log, but keep the remainder."""
        left = max(min(self._size, REMAINDER_BYTES), self._size - count)
        if left != self._size:
            os.truncate(self._path, left)
            self._size = left

    def release(self) -> None:
        """Give up all of the room, with the remainder."""
        self._size = 0
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass


def _too_little(needed: int, folder: str) -> WorkerError:
    free = mounts.free_bytes(folder)
    return WorkerError(
        ErrorKind.DISK_FULL,
        f"the log of this run needs about {byte_count_text(needed)}, and {byte_count_text(free)} are free in {folder}",
        "free space on the device (benchfleet devices clean), or set its state_dir to a larger file system",
        needed_bytes=needed,
        free_bytes=free,
    )
