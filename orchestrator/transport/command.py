"""What every transport does alike with a running command: keep the tail of its stderr, run it to its end."""

from __future__ import annotations

import time
from typing import Protocol

from orchestrator.domain.errors import LinkLost
from orchestrator.transport.base import Completed

STDERR_BYTES_MAX = 4096
"""How much of the end of stderr is kept."""

STDOUT_BYTES_MAX = 1024 * 1024
"""How much of the beginning of a short command's stdout is kept; the rest is read and dropped."""

END_TIMEOUT_S = 5.0
"""How long a command may go on once its input has ended."""

WRITE_STALL_S = 60.0
"""How long a command may leave its input unread before its link counts as lost."""

STATUS_UNKNOWN = -1
"""The exit status of a command that was not seen to end, or that a signal ended."""

READ_BYTES = 64 * 1024


class Tail:
    """The last bytes of an endless text."""

    def __init__(self, bytes_max: int = STDERR_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Append, and forget what is too old."""
        self._kept += data
        del self._kept[: -self._bytes_max]

    def __bytes__(self) -> bytes:
        return bytes(self._kept)


class Command(Protocol):
    """A stream, seen from inside its transport."""

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """As a stream does."""

    def close_input(self) -> None:
        """Let the command see the end of its input; its output is still read."""

    def finish(self, timeout_s: float) -> Completed:
        """As a stream's `end` does, with a bound of the caller's."""

    def abandon(self) -> None:
        """Let go of the command at once, whether or not it has ended."""


def run_to_end(command: Command, timeout_s: float) -> Completed:
    """Give a command no input, read what it prints, and return how it ended; raise LinkLost if it takes too long."""
    deadline = time.monotonic() + timeout_s
    stdout = bytearray()
    try:
        command.close_input()
        while chunk := command.read(READ_BYTES, max(0.0, deadline - time.monotonic())):
            stdout += chunk[: STDOUT_BYTES_MAX - len(stdout)]
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
