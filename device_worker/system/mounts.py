"""Find the file system of a folder: type, free bytes, mount options, local or network."""

from __future__ import annotations

import os
import re

from device_worker.system import system_files

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


def file_system_of(path: str) -> str | None:
    """Return the type of a path's file system (`ext4`, `nfs4`, `fuse.sshfs`), or None if the kernel does not tell.

    The longest mount point above the path decides. Source: /proc/self/mountinfo, see proc(5).
    """
    real = os.path.realpath(path)
    longest, found = -1, None
    for line in (system_files.read_text(_MOUNTS) or "").split("\n"):
        fields = line.split(" ")
        if "-" not in fields[6:-1]:
            continue
        point = _unescaped(fields[4])
        if _is_within(real, point) and len(point) >= longest:  # >=: of two mounts on one point the later is on top
            longest, found = len(point), fields[fields.index("-", 6) + 1]
    return found


def is_network(file_system: str | None) -> bool:
    """Return True for a network file system, where locks, renames and syncs are not reliable."""
    kind, _, fuse = (file_system or "").partition(".")
    return kind in _NETWORK or (kind == "fuse" and fuse in _NETWORK_FUSE)


def is_read_only(path: str) -> bool:
    """Return True if a path's file system is mounted read-only."""
    return _has_flag(path, os.ST_RDONLY)


def is_noexec(path: str) -> bool:
    """Return True if no program of a path's file system can be run, and no library be loaded: mount(8), noexec."""
    return _has_flag(path, os.ST_NOEXEC)


def free_bytes(path: str) -> int:
    """Return the free bytes of a path's file system for an ordinary user (not root)."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _has_flag(path: str, flag: int) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & flag)
    except OSError:
        return False


def _unescaped(word: str) -> str:
    if "\\" not in word:  # nearly always, and then no pattern need be compiled
        return word
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), word)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else folder + "/")
