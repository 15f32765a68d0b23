"""Find the file system that a folder lies on, and say whether it can keep what the worker writes."""

from __future__ import annotations

import os
import re

from device_worker import system_files

_MOUNTS = "/proc/self/mountinfo"
_NETWORK = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
}
_NETWORK |= {"orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs"}
_NETWORK_FUSE = {"afp", "beegfs", "ceph", "ceph-fuse", "curlftpfs", "davfs", "davfs2", "glusterfs", "gvfsd-fuse"}
_NETWORK_FUSE |= {"juicefs", "mfs", "moosefs", "rclone", "s3fs", "smbnetfs", "sshfs"}
_ESCAPED = re.compile(r"\\([0-7]{3})")


def file_system_of(path: str) -> str | None:
    """Return the type of the file system that holds a path: that of the longest mount point above it.

    Of two mounts on one point the later one hides the earlier. None where the kernel does not say.
    """
    real = os.path.realpath(path)
    longest, found = -1, None
    for line in (system_files.read_text(_MOUNTS) or "").split("\n"):
        fields = line.split(" ")
        if "-" not in fields[6:-1]:
            continue
        point = _ESCAPED.sub(lambda code: chr(int(code.group(1), 8)), fields[4])
        if _is_within(real, point) and len(point) >= longest:
            longest, found = len(point), fields[fields.index("-", 6) + 1]
    return found


def is_network(file_system: str | None) -> bool:
    """Say whether a file system is another machine's: its locks, renames and syncs are not those of a disk."""
    kind, _, fuse = (file_system or "").partition(".")
    return kind in _NETWORK or (kind == "fuse" and fuse in _NETWORK_FUSE)


def is_read_only(path: str) -> bool:
    """Say whether nothing can be written where a path lies."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def free_bytes(path: str) -> int:
    """Return how much an ordinary user may still write there."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else folder + "/")
