"""Set up the process of the command: signals, umask, streams, garbage collection.

A library leaves process-wide state to the caller, so every other module keeps off such state.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType


def prepare() -> None:
    """Take SIGTERM for Ctrl-C, keep new files unwritable for other users, and open closed streams."""
    # An end by `kill` or by a service manager gives devices back, as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    # A umask of 0 would let other users change the settings, keys and caches written here.
    os.umask(os.umask(0o022) | 0o022)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no "µ" still gets its table


def settle() -> None:
    """Exempt imported modules from garbage collection.

    A run may last for hours, and each full collection would look through all modules in vain.
    """
    gc.freeze()


def _open_closed_streams() -> None:
    """Replace a closed standard output or error (`>&-`) by the null device."""
    # Python makes None of a closed stream, and the next file that is opened would get its descriptor.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
