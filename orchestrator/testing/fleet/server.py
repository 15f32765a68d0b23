"""Serve a fleet by SSH: one listener on loopback, and a device behind each address of 127.0.0.0/8."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from orchestrator.testing.fleet.addresses import LOOPBACK, address_of
from orchestrator.testing.fleet.conversation import Conversation, Incoming
from orchestrator.testing.fleet.device import SimulatedDevice
from orchestrator.testing.fleet.faults import Faults, Pace

_BACKLOG = 4096
_LOGIN_S_MAX = 300  # thousands of handshakes on a busy machine take their time


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """Say which devices there are: `names` at addresses one after the other, with `faults` by name."""

    names: Sequence[str]
    pace: Pace = field(default_factory=Pace)
    faults: Mapping[str, Faults] = field(default_factory=dict)


class Fleet:
    """The devices and the server. Everything happens in the thread of one event loop."""

    def __init__(self, plan: FleetPlan) -> None:
        none = Faults()
        self.devices = {
            address_of(number): SimulatedDevice(name, plan.pace, plan.faults.get(name, none))
            for number, name in enumerate(plan.names)
        }
        self.client_key_data = b""
        self._tasks: set[asyncio.Task[None]] = set()

    def named(self, name: str) -> SimulatedDevice:
        """Return a device by its name."""
        return next(device for device in self.devices.values() if device.name == name)

    async def listen(self, host_key: Path, client_key: Path) -> tuple[asyncssh.SSHAcceptor, int]:
        """Listen, and let in who has the client's key. Return the listener and its port."""
        listener = _loopback_socket()
        self.client_key_data = asyncssh.read_public_key(str(client_key)).public_data
        acceptor = await asyncssh.listen(
            sock=listener,
            backlog=_BACKLOG,
            server_factory=lambda: _Server(self),
            server_host_keys=[str(host_key)],
            encoding=None,
            allow_pty=False,
            agent_forwarding=False,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            login_timeout=_LOGIN_S_MAX,
        )
        return acceptor, int(listener.getsockname()[1])

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work beside the others."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop alone keeps no task
        task.add_done_callback(self._tasks.discard)


def _loopback_socket() -> socket.socket:
    """Return a socket that listens at all of loopback, and nowhere else."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # There is no address for a whole range: bound to the interface, the address of all is of loopback alone.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", 0))  # noqa: S104 - of the interface `lo` alone
    return listener


class _Server(asyncssh.SSHServer):
    """One connection, before and behind the login."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._connection: asyncssh.SSHServerConnection | None = None
        self._device: SimulatedDevice | None = None
        self._is_refused = True

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Find the device by the address that the controller has called."""
        host = conn.get_extra_info("sockname")[0]
        self._connection = conn
        self._device = self._fleet.devices.get(host)
        if self._device is None or ipaddress.ip_address(conn.get_extra_info("peername")[0]) not in LOOPBACK:
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        """Ask for a key, and count the logins of a device that refuses some."""
        if self._device is not None:
            refused, used = self._device.faults.refused_logins, self._device.faults_used.get("logins", 0)
            self._device.faults_used["logins"] = used + 1
            self._is_refused = refused is None or used < refused
        return True

    def public_key_auth_supported(self) -> bool:
        """Let a key be the only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Let the client's key in, and no other. asyncssh has the signature checked after that."""
        return not self._is_refused and key.public_data == self._fleet.client_key_data

    def session_requested(self) -> asyncssh.SSHServerSession[bytes] | bool:
        """Open the channel of a conversation."""
        if self._device is None or self._connection is None:
            return False
        return _Session(self._fleet, self._device, self._connection)


class _Session(asyncssh.SSHServerSession[bytes]):
    """The channel of one conversation."""

    def __init__(self, fleet: Fleet, device: SimulatedDevice, connection: asyncssh.SSHServerConnection) -> None:
        self._fleet = fleet
        self._connection = connection
        self._incoming = Incoming()
        self._conversation = Conversation(device, self, self._incoming)
        self._command = ""
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def shell_requested(self) -> bool:
        return False

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        self._fleet.spawn(self._converse())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._incoming.feed(data)

    def eof_received(self) -> bool:
        self._incoming.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self._incoming.end()

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is gone."""
        if self._channel is not None:
            self._channel.write(data)

    def cut(self) -> None:
        """Break the connection off, without a goodbye."""
        self._connection.abort()

    async def _converse(self) -> None:
        code = await self._conversation.hold(self._command)
        if self._channel is not None:
            self._channel.exit(code)
