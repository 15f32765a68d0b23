"""Quote a command, keep the tail of stderr, and run a command to the end, for every transport alike."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from typing import Protocol

from orchestrator.domain.errors import LinkLost
from orchestrator.transport.base import Completed

STDERR_BYTES_MAX = 4096
"""The number of bytes kept from the end of stderr."""

STDOUT_BYTES_MAX = 1024 * 1024
"""The number of bytes kept from the beginning of a short command's stdout. The rest is read and dropped."""

END_TIMEOUT_S = 5.0
"""How long a command may go on after the end of its input."""

WRITE_STALL_S = 60.0
"""How long a command may leave its input unread before the link counts as lost."""

STATUS_UNKNOWN = -1
"""The exit status of a command with an unseen end, or of a command killed by a signal."""

READ_BYTES = 64 * 1024


def command_line(argv: Sequence[str]) -> bytes:
    """Return `argv` as one command line that a shell on the device splits into the same arguments.

    Every POSIX shell and fish do so for all arguments, csh for those without a newline.
    No other function makes a shell's command of data. File names beyond UTF-8 pass unchanged, as `os.fsdecode` reads
    them. Raise ValueError for an empty program and for a NUL.
    """
    if not argv or not argv[0]:
        raise ValueError("a command needs a program to run")
    if any("\0" in argument for argument in argv):
        raise ValueError("no argument of a command can hold a NUL")
    # csh looks for its history within quotes too. An apostrophe closes the quoted part, and another opens the next.
    return shlex.join(argv).replace("!", "'\\!'").encode("utf-8", "surrogateescape")


class Tail:
    """The last `bytes_max` bytes of a text without limit."""

    def __init__(self, bytes_max: int = STDERR_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Append data, and drop the oldest bytes beyond the limit."""
        self._kept += data
        del self._kept[: -self._bytes_max]

    def __bytes__(self) -> bytes:
        return bytes(self._kept)


class Command(Protocol):
    """The methods of a stream for its own transport."""

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Read as `Stream.read`."""

    def close_input(self) -> None:
        """Close the command's input. The output can still be read."""

    def finish(self, timeout_s: float) -> Completed:
        """End as `Stream.end`, but wait at most `timeout_s`."""

    def abandon(self) -> None:
        """Give up the command at once, even if still running."""


def run_to_end(command: Command, timeout_s: float) -> Completed:
    """Run a command without input, and return status and output. Raise LinkLost after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    stdout = bytearray()
    try:
        command.close_input()
        while chunk := command.read(READ_BYTES, max(0.0, deadline - time.monotonic())):
            stdout += chunk[: STDOUT_BYTES_MAX - len(stdout)]
            # A command that prints without end never runs into the time limit of a read.
            if time.monotonic() > deadline:
                break
        completed = command.finish(max(0.0, deadline - time.monotonic()))
    except LinkLost as failure:
        command.abandon()
        if time.monotonic() < deadline:
            raise
        raise LinkLost(f"the command did not end within {timeout_s:g} s") from failure
    if completed.exit_status == STATUS_UNKNOWN and time.monotonic() >= deadline:
        command.abandon()
        raise LinkLost(f"the command did not end within {timeout_s:g} s")
    return Completed(completed.exit_status, bytes(stdout), completed.stderr)
