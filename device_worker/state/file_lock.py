"""Lock files for a process: the kernel gives a lock back with the end of the process, even if killed."""

from __future__ import annotations

import fcntl
import os
import time

_TRIES = 3
_PAUSE_S = 0.01


def try_lock(fd: int) -> bool:
    """Lock an open file for the calling process alone, and return False if another process holds the lock."""
    for _ in range(_TRIES):  # a look of `is_locked` takes microseconds, and is no reason to give up
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)
        else:
            return True
    return False


def is_locked(path: str) -> bool:
    """Return True if a process holds the lock on a file, whether /proc shows the process or not."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two looks at once do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
