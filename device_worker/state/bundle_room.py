"""Make room for a plan's unpacked bundles before a runner begins."""

from __future__ import annotations

import os

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.printable import byte_count_text
from device_worker.protocol.vocabulary import ErrorKind
from device_worker.state.cache import Cache
from device_worker.system import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.protocol.plan import Plan
    from device_worker.state.state_dir import StateDir


def make_room_for_bundles(state: StateDir, plan: Plan, plan_sha256: str, cache_bytes_max: int | None) -> None:
    """Remove unneeded items of the cache until the plan's bundles fit unpacked.

    `cache_bytes_max` limits the whole cache (None: no limit but the disk). The plan and its blobs are claimed for the
    calling process. Raise WorkerError (DISK_FULL) with the bytes needed and free if the bundles still do not fit.
    """
    packed = {sha256 for job in plan.jobs.values() for sha256 in job.python_path}
    packed = {sha256 for sha256 in packed if not os.path.isdir(os.path.join(state.bundles, sha256))}
    if not packed:
        return
    needed = sum(_unpacked_bytes(os.path.join(state.blobs, sha256)) for sha256 in packed)
    cache = Cache(state)
    with cache.locked():
        cache.claim([plan_sha256, *(blob.sha256 for blob in plan.blobs)])
        cache.make_room(needed, cache_bytes_max)
    free = mounts.free_bytes(state.bundles)
    if needed > free:
        raise WorkerError(
            ErrorKind.DISK_FULL,
            f"the plan's bundles unpack to {byte_count_text(needed)}, and {byte_count_text(free)} are free in"
            f" {state.bundles}",
            "free space on the device (benchfleet devices clean), or set its state_dir to a larger file system",
            needed_bytes=needed,
            free_bytes=free,
        )


def _unpacked_bytes(archive: str) -> int:
    """Return the unpacked size of a bundle in bytes, or 0 for a file other than a zip archive."""
    import zipfile  # not needed where all bundles are unpacked already

    try:
        with zipfile.ZipFile(archive) as bundle:
            return sum(member.file_size for member in bundle.infolist())
    except (zipfile.BadZipFile, OSError):  # the trial that needs the bundle fails, and says why
        return 0
