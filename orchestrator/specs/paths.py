"""Check and open the paths that files of people name. Checks never raise: an impossible path counts as missing.

Impossible are names too long for the file system, or folders closed to the user.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from io import BufferedReader
from pathlib import Path

# O_PATH asks for no right to read the folders on the way. A path asks for none either.
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: the opening of a pipe, put there after the check, would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_file(path: Path) -> bool:
    """Return True if the path is a file."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return True if the path is a folder."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_special(path: Path) -> bool:
    """Return True if the path is neither a file nor a folder, such as a pipe or a device."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def expanded(path: str) -> Path:
    """Return a path with `~` written out. The `~name` of an unknown user stays as written."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def resolved(path: Path) -> Path:
    """Return a path without links and `..`, or just the absolute path if links form a circle or a name is too long."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()


def refuse_named_pipe(path: Path) -> None:
    """Raise OSError for a pipe in a folder: opening the pipe may wait for ever. A shell's `<(command)` is no such pipe.

    The pipe of `<(command)` has a name in /proc alone, and the name leads to no other file.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISFIFO(os.lstat(resolved(path)).st_mode):
            raise OSError(errno.EINVAL, "a pipe, not a regular file", str(path))


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file by an absolute path without links, to read its bytes.

    Raise OSError for a link on the way, such as one put there after the path was resolved, and for anything but a
    regular file. A pipe or a device is not opened: the opening alone may wait for ever, or have an effect.
    """
    folder = os.open(path.anchor, _STEP)
    try:
        for step in path.parts[1:-1]:
            below = os.open(step, _STEP, dir_fd=folder)
            os.close(folder)
            folder = below
        _require_regular(os.stat(path.name, dir_fd=folder, follow_symlinks=False), path)
        file = os.fdopen(os.open(path.name, _FILE, dir_fd=folder), "rb")
    finally:
        os.close(folder)
    try:
        # Once more, because the name may mean another file by now.
        _require_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def reading_remedy(error: OSError, path: Path, missing: str) -> str:
    """Return what to do about a file that cannot be read. `missing` is the remedy for a file that is gone."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return missing
    if error.errno == errno.EIO:
        return "the disk fails: check the kernel's log (dmesg)"
    return f"see what it is, and who may read it: ls -l {shlex.quote(str(path))}"


def open_below(folder: Path, path: Path) -> BufferedReader:
    """Open a regular file below a folder, to read its bytes. Raise OSError for a path that leads out of the folder."""
    real = resolved(path)
    if not real.is_relative_to(resolved(folder)):
        raise OSError(errno.EXDEV, f"leads out of {folder}", str(path))
    return open_regular(real)


def _require_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
