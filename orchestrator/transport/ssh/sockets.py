"""Open the carriers of an SSH connection: a TCP socket, a proxy command or a jump host's channel.

No carrier may block forever.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Protocol

from orchestrator.transport.ssh.route import Hop

_SILENCE_MS_MAX = 45_000
_PROXY_END_S = 0.5
_STDERR_BYTES_MAX = 2048
_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}


class Carrier(Protocol):
    """The methods of a socket that paramiko uses."""

    def send(self, data: bytes, /) -> int:
        """Send a part of `data`, and return the count of bytes. Raise TimeoutError if no byte can be sent in time."""

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes; raise TimeoutError if none came in time."""

    def settimeout(self, timeout_s: float | None, /) -> None:
        """Set the time limit of `send` and `recv`."""

    def close(self) -> None:
        """Drop the connection."""


def _never() -> bool:
    return False


class GuardedCarrier:
    """Close a carrier when nothing can be sent for long, or when the other side is overdue. Paramiko would never.

    Closing the carrier also wakes a thread that waits to receive. Such a thread may wait long, and so costs little.
    """

    def __init__(self, carrier: Carrier, stall_s: float, is_overdue: Callable[[], bool] = _never) -> None:
        self._carrier = carrier
        self._stall_s = stall_s
        self._is_overdue = is_overdue
        self._stalled_at: float | None = None
        self._closed = False

    def send(self, data: bytes) -> int:
        """Send a part of `data`. Close the carrier if sending has been impossible for `stall_s`."""
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
        if self._is_overdue():  # asked ten times a second while paramiko shakes hands
            raise self._given_up()
        try:
            return self._carrier.recv(size)
        except TimeoutError as error:
            if error.errno is None:
                raise
            raise self._given_up() from error

    def be_patient(self) -> None:
        """Let the other side be silent from now on: the login is done."""
        self._is_overdue = _never

    def settimeout(self, timeout_s: float | None) -> None:
        """Set the time limit of `send` and `recv` before a TimeoutError."""
        self._carrier.settimeout(timeout_s)

    def close(self) -> None:
        """Drop the connection. May be called twice."""
        self._closed = True
        if isinstance(self._carrier, socket.socket):
            with suppress(OSError):
                self._carrier.shutdown(socket.SHUT_RDWR)
        self._carrier.close()

    def _given_up(self) -> ConnectionAbortedError:
        """Close the carrier, and return the error to raise."""
        # No TimeoutError: paramiko would try again, even after the system has given up the connection.
        self.close()
        return ConnectionAbortedError(errno.ECONNABORTED, "the other side takes no data or does not answer")


def open_tcp(hop: Hop, timeout_s: float) -> socket.socket:
    """Connect to a hop over TCP. Raise OSError."""
    try:
        connected = _connect(hop, timeout_s)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "names are not made like that") from error
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small messages must not wait for more data
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # notice a vanished peer within a minute
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS_MAX)
    return connected


def _connect(hop: Hop, timeout_s: float) -> socket.socket:
    """Connect to the first address of a hop that answers, from where the configuration says. Raise OSError."""
    manner = hop.manner
    failure: OSError | None = None
    family = _FAMILIES[manner.address_family]
    for kind, _type, protocol, _name, address in socket.getaddrinfo(hop.host, hop.port, family, socket.SOCK_STREAM):
        connecting = socket.socket(kind, socket.SOCK_STREAM, protocol)
        try:
            connecting.settimeout(timeout_s)
            if manner.bind_interface is not None:
                connecting.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, manner.bind_interface.encode() + b"\0")
            if manner.bind_address is not None:
                connecting.bind(socket.getaddrinfo(manner.bind_address, 0, kind, socket.SOCK_STREAM)[0][4])
            connecting.connect(address)
        except OSError as error:
            connecting.close()
            failure = error
        else:
            return connecting
    raise failure or OSError(errno.EHOSTUNREACH, "no address to connect to")


class ProxyProcess:
    """A ProxyCommand, run by a shell as in ssh, with a socket for input and output."""

    # Paramiko's own class runs no shell, spins at the end of the command, and leaves a zombie behind.
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

    def receive(self, timeout_s: float) -> socket.socket:
        """Return the connected socket that the command passes (ProxyUseFdpass). Raise OSError."""
        self.socket.settimeout(timeout_s)
        _data, passed, _flags, _address = socket.recv_fds(self.socket, 1, 1)
        if not passed:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the proxy command passes no connection")
        return socket.socket(fileno=passed[0])

    def last_words(self) -> str:
        """Return the last line of the command's stderr, or "" if the command still runs."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PROXY_END_S)
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - _STDERR_BYTES_MAX))
            lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
            return lines[-1].strip() if lines else f"it ended with status {self._process.returncode}"
        return ""

    def close(self) -> None:
        """Close the socket, and end the command by signals if the closed socket does not. May be called twice."""
        self.socket.close()
        for stop in (None, signal.SIGTERM, signal.SIGKILL):  # most commands end with their input
            if stop is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, stop)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PROXY_END_S)
                break
        self._stderr.close()
