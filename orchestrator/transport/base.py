"""What every way of reaching a device can do.

One stream per session is enough: questions, blobs and the followed log share it, so a transport needs neither file
transfer nor a second channel, and works where a device has no sftp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orchestrator.domain.device import Device


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command on the device ended: its own exit status (never the transport's), and bounded output."""

    exit_status: int
    stdout: bytes
    stderr: bytes


@runtime_checkable
class Stream(Protocol):
    """A running command's standard input and output, as bytes."""

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Return what is there, at most `size` bytes, or b"" at the end; raise LinkLost if nothing came in time."""

    def write(self, data: bytes) -> None:
        """Send all of `data`; safe to call while another thread reads; raise LinkLost if the link is gone."""

    def end(self) -> Completed:
        """Close both directions, wait a bounded time for the command, and tell how it ended; never raises twice.

        `stdout` is empty; `stderr` holds the last 4 KiB. `exit_status` is -1 where it is not known.
        """


@runtime_checkable
class Transport(Protocol):
    """An open connection to one device."""

    def stream(self, argv: Sequence[str]) -> Stream:
        """Start a command, given as an argument vector, and return its stream."""

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        """Run a short command to its end; raise LinkLost when it does not end in time."""

    def close(self) -> None:
        """Drop the connection; running commands see the end of their input. May be called twice."""


@runtime_checkable
class Connector(Protocol):
    """Opens transports of one kind; picklable, so that a gateway elsewhere can use it too."""

    def connect(self, device: Device) -> Transport:
        """Return an open transport.

        Raises Unreachable, AuthenticationFailed, HostKeyUnknown or HostKeyChanged, each with the remedy as its hint.
        """
