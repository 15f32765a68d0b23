"""The one door through which an argument vector becomes a shell command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def command_line(argv: Sequence[str]) -> bytes:
    """Return `argv` as one command line that a POSIX shell on the device splits into the same arguments.

    File names that are not UTF-8 pass unchanged, as `os.fsdecode` reads them.
    """
    if not argv or not argv[0]:
        raise ValueError("a command needs a program to run")
    if any("\0" in argument for argument in argv):
        raise ValueError("no argument of a command can hold a NUL")
    return shlex.join(argv).encode("utf-8", "surrogateescape")
