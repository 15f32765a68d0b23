"""What carries an SSH connection: a TCP socket, a proxy command, a jump host's channel; none may block for ever."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import IO, Protocol

from orchestrator.transport.ssh.route import Hop

_SILENCE_MS_MAX = 45_000
_PROXY_END_S = 0.5
_STDERR_BYTES_MAX = 2048


class Carrier(Protocol):
    """What paramiko takes for a socket."""

    def send(self, data: bytes, /) -> int:
        """Send some of `data`; raise TimeoutError if none could be sent in time."""

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes; raise TimeoutError if none came in time."""

    def settimeout(self, timeout_s: float | None, /) -> None:
        """Bound both."""

    def close(self) -> None:
        """Drop the connection."""


class GuardedCarrier:
    """A carrier that gives up when nothing can be sent for long; paramiko alone would try for ever.

    Closing it also wakes a thread that waits to receive, so that thread may wait long, and rarely costs anything.
    """

    def __init__(self, carrier: Carrier, stall_s: float) -> None:
        self._carrier = carrier
        self._stall_s = stall_s
        self._stalled_at: float | None = None
        self._closed = False

    def send(self, data: bytes) -> int:
        """Send some of `data`; close the carrier when that has been impossible for too long."""
        try:
            sent = self._carrier.send(data)
        except TimeoutError as error:
            self._stalled_at = self._stalled_at or time.monotonic()
            if error.errno is None and time.monotonic() - self._stalled_at < self._stall_s:
                raise
            raise self._given_up() from error
        self._stalled_at = None
        return sent

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes; raise TimeoutError if none came in time."""
        try:
            return self._carrier.recv(size)
        except TimeoutError as error:
            if error.errno is None:
                raise
            raise self._given_up() from error

    def settimeout(self, timeout_s: float | None) -> None:
        """Bound `send` and `recv`."""
        self._carrier.settimeout(timeout_s)

    def close(self) -> None:
        """Drop the connection; may be called twice."""
        self._closed = True
        if isinstance(self._carrier, socket.socket):
            with suppress(OSError):
                self._carrier.shutdown(socket.SHUT_RDWR)
        self._carrier.close()

    def _given_up(self) -> ConnectionAbortedError:
        """Close; the error is no TimeoutError, which for paramiko means to try again, even when the system gave up."""
        self.close()
        return ConnectionAbortedError(errno.ECONNABORTED, "the other side takes no data or does not answer")


def open_tcp(hop: Hop, timeout_s: float) -> socket.socket:
    """Connect to a hop; keystroke-sized messages go at once, and a peer that vanishes is noticed within a minute."""
    try:
        connected = socket.create_connection((hop.host, hop.port), timeout_s)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "names are not made like that") from error
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS_MAX)
    return connected


class ProxyProcess:
    """A ProxyCommand, run by the shell as ssh runs it, with a socket for its input and output.

    paramiko's own does without the shell, spins when the command ends, and leaves a zombie behind.
    """

    def __init__(self, command: str) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )

    def last_words(self) -> str:
        """Return the last line that the command wrote on stderr, if it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PROXY_END_S)
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - _STDERR_BYTES_MAX))
            lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1].strip() if lines else f"it ended with status {self._process.returncode}"
        return ""

    def close(self) -> None:
        """Close the socket, which ends most such commands, and end it otherwise; may be called twice."""
        self.socket.close()
        for stop in (None, signal.SIGTERM, signal.SIGKILL):
            if stop is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, stop)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PROXY_END_S)
                break
        self._stderr.close()
