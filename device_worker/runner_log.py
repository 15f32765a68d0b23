"""Write to a runner's log, which is its standard error; a full disk must not make a diary entry fatal."""

from __future__ import annotations

import os
import sys
import time


def log(text: str) -> None:
    """Append a line to the log, if there is room."""
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text.rstrip()}\n"
    try:
        os.write(2, line.encode("utf-8", "replace"))
    except OSError:
        pass


def log_exception() -> None:
    """Append the exception that is being handled, with its traceback where that can be had."""
    error = sys.exc_info()[1]
    try:
        import traceback

        text = traceback.format_exc()
    except (ImportError, OSError, MemoryError):  # no more files, a card that is dying
        text = repr(error)
    log(text)
