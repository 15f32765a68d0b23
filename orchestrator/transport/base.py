"""Define the interface of a transport.

A single stream per session is enough: questions, blobs and the followed log share the stream. A transport therefore
needs neither file transfer nor a second channel, and works without sftp on the device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orchestrator.domain.device import Device

BYTES_PER_S_MIN = 4 << 10
"""The slowest link that is of use, in each direction. Many bytes may take a second more for each so many."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a command on the device: the command's own exit status, never the transport's, and bounded output."""

    exit_status: int
    stdout: bytes
    stderr: bytes


@runtime_checkable
class Stream(Protocol):
    """A running command's standard input and output, as bytes."""

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Return the next bytes, at most `size`, or b"" at the end of the output.

        Raise LinkLost if no byte comes within `timeout_s` (None: wait without limit) or if the link is gone.
        """

    def write(self, data: bytes) -> None:
        """Send all of `data`. Safe while another thread reads.

        Raise LinkLost if the link is gone, or takes the data more slowly than BYTES_PER_S_MIN.
        """

    def end(self) -> Completed:
        """Close both directions, wait a bounded time for the command, and return its end. May be called twice.

        `stdout` is empty, and `stderr` holds the last 4 KiB. `exit_status` is -1 if unknown.
        """


@runtime_checkable
class Transport(Protocol):
    """An open connection to one device."""

    def stream(self, argv: Sequence[str]) -> Stream:
        """Start a command, given as an argument vector, and return the command's stream. Raise LinkLost."""

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        """Run a short command to the end. Raise LinkLost if the command does not end within `timeout_s`."""

    def close(self) -> None:
        """Drop the connection. Running commands see the end of input. May be called twice."""


ARRIVED = 100
"""The stage of a device that is logged in to, behind however many jump hosts."""


class Asker:
    """Ask for turns on behalf of one session, and keep the clock of the device's own time."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        """The seconds for which turns of other devices were waited for. An Admission adds to the sum."""

    def own_clock_s(self) -> float:
        """Return a reading in seconds of a clock that stands still while turns of other devices are waited for."""
        return time.monotonic() - self.waited_s


class Admission(Protocol):
    """Calls devices to their turns. Picklable: each process has an admission of its own."""

    def turn(self, device: str, *, stage: int) -> AbstractContextManager[object]:
        """Wait for the device's turn. The turn ends with the block. `stage` is how far the device has come.

        Raises Unreachable if the asker is dismissed in the queue.
        """

    def asked_by(self, asker: Asker) -> AbstractContextManager[None]:
        """Let each turn that this thread asks for within the block be the asker's, and the waiting too."""

    def dismiss(self, asker: Asker) -> None:
        """Take the asker's turns out of the queue. A turn that has begun goes on."""


@runtime_checkable
class Connector(Protocol):
    """Opens transports of a kind. Picklable, so that a gateway on another machine can connect too."""

    def connect(self, device: Device) -> Transport:
        """Return an open transport.

        Raises Unreachable, AuthenticationFailed, HostKeyUnknown or HostKeyChanged, each with the remedy as its hint.
        """
