"""Say whose an exception is that no code expects: this machine's, this installation's, or benchfleet's own."""

from __future__ import annotations

import errno

_SHOWS = "BENCHFLEET_DEBUG=1 shows where"

_OF_THE_MACHINE = {
    errno.EACCES: "may this user read it, or write there?",
    errno.EPERM: "may this user do that here?",
    errno.EROFS: "is another folder meant? this file system takes no changes",
    errno.ENOSPC: "free space there",
    errno.EDQUOT: "free space there: the quota of this user is used up",
    errno.EFBIG: "ulimit -f and the file system say how long a file may be",
    errno.EMFILE: "`ulimit -n` says how many files a process may have open; raise it",
    errno.ENFILE: "other programs of this machine have too many files open",
    errno.ENOMEM: "this machine has no memory left for the command",
    errno.EAGAIN: "`ulimit -u` says how many processes and threads a user may have",
    errno.EIO: "the disk fails, or a network folder is gone: dmesg may say more",
    errno.ESTALE: "a network folder has been replaced: mount it again",
}


def words_for(error: BaseException) -> tuple[str, str]:
    """Return message and hint for an exception that nobody expects."""
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        what = f"{error.filename}: " if error.filename is not None else ""
        return f"{what}{error.strerror}", f"{_OF_THE_MACHINE[error.errno]} ({_SHOWS})"
    if isinstance(error, MemoryError):
        return "no memory is left", f"{_OF_THE_MACHINE[errno.ENOMEM]} ({_SHOWS})"
    message = f"unexpected {type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        return message, f"is this installation whole? install benchfleet anew ({_SHOWS})"
    return message, f"this is a defect of benchfleet; {_SHOWS}"
