"""See to it that what a plan's bundles unpack to will fit, before a runner begins."""

from __future__ import annotations

import os

from device_worker import mounts
from device_worker.cache import Cache
from device_worker.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.plan import Plan
    from device_worker.state_dir import StateDir


def make_room_for_bundles(state: StateDir, plan: Plan, plan_sha256: str, cache_bytes_max: int | None) -> None:
    """Let bundles that nobody needs give way to those that this plan will unpack, or raise WorkerError."""
    packed = {sha256 for job in plan.jobs.values() for sha256 in job["python_path"]}
    packed = {sha256 for sha256 in packed if not os.path.isdir(os.path.join(state.bundles, sha256))}
    if not packed:
        return
    needed = sum(_unpacked_bytes(os.path.join(state.blobs, sha256)) for sha256 in packed)
    cache = Cache(state)
    with cache.locked():
        cache.claim([plan_sha256, *(blob["sha256"] for blob in plan.blobs)])
        cache.make_room(needed, cache_bytes_max)
    free = mounts.free_bytes(state.bundles)
    if needed > free:
        raise WorkerError(
            ErrorKind.DISK_FULL,
            f"the plan's bundles unpack to {needed / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free in {state.bundles}",
            "free space on the device (benchfleet devices clean), or set its state_dir to a larger file system",
            needed_bytes=needed,
            free_bytes=free,
        )


def _unpacked_bytes(archive: str) -> int:
    """Return how much a bundle will take; one that is no archive takes nothing, and fails in its trial."""
    import zipfile

    try:
        with zipfile.ZipFile(archive) as bundle:
            return sum(member.file_size for member in bundle.infolist())
    except (zipfile.BadZipFile, OSError):
        return 0
