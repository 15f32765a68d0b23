"""The open SSH connections that lead to a device, one through the other."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import fabric
from paramiko import MissingHostKeyPolicy, PKey, SSHClient, SSHConfig, Transport

from orchestrator.domain.errors import DeviceError, NoAnswer, Unreachable
from orchestrator.transport.known_hosts import HostKey
from orchestrator.transport.ssh.failures import EXPECTED, unreachable
from orchestrator.transport.ssh.login import Login
from orchestrator.transport.ssh.route import Hop
from orchestrator.transport.ssh.sockets import Carrier, GuardedCarrier, ProxyProcess, open_tcp
from orchestrator.transport.ssh.trust import check, known_keys

Result = TypeVar("Result")

_IDLE_WAKE_S = 2.0
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")

# They log whatever they also raise, with tracebacks, and all their settings; none of that is for our users.
for _library in ("paramiko", "fabric", "invoke"):
    logging.getLogger(_library).addHandler(logging.NullHandler())
    logging.getLogger(_library).propagate = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for a step of connecting, for one that takes no data, and before an idle one speaks."""

    connect_s: float
    stall_s: float
    keepalive_s: int


class Links:
    """Connections from hop to hop; logged in to each, its host key checked before anything is said."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._closed = False
        self._connections: list[fabric.Connection] = []
        self._proxies: list[ProxyProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def transport(self) -> Transport:
        """The connection to the last hop."""
        transport: Transport = self._connections[-1].transport
        return transport

    def log_in(self, hops: tuple[Hop, ...]) -> None:
        """Log in to each hop, through the ones before; raise a DeviceError that says which hop failed, and why."""
        for hop in hops:
            self._try(hop, last=hop is hops[-1], action=self._log_in)

    def show_host_key(self, hops: tuple[Hop, ...]) -> HostKey:
        """Return the key that the last hop shows, without logging in there; every other hop is logged in to."""
        for hop in hops[:-1]:
            self._try(hop, last=False, action=self._log_in)
        return self._try(hops[-1], last=True, action=self._shake_hands)

    def close(self) -> None:
        """Drop the connections, the outermost first: the others end with it, nothing sent. May be called twice."""
        with self._lock:
            self._closed = True
            connections, self._connections = self._connections, []
            proxies, self._proxies = self._proxies, []
        for connection in connections:
            connection.client.close()
        for proxy in proxies:
            proxy.close()

    def _try(self, hop: Hop, *, last: bool, action: Callable[[Hop], Result]) -> Result:
        began = time.monotonic()
        try:
            return action(hop)
        except DeviceError as error:
            failure = error
        except EXPECTED as error:
            failure = self._unreachable(hop, error, time.monotonic() - began)
            failure.__cause__ = error
        if last:
            raise failure
        kind = Unreachable if isinstance(failure, NoAnswer) else type(failure)  # the device itself may well answer
        raise kind(f"jump host {hop.name}: {failure.message}", failure.hint)

    def _unreachable(self, hop: Hop, error: BaseException, waited_s: float) -> Unreachable:
        said = self._proxies[-1].last_words() if hop.proxy_command and self._proxies else ""
        if said:
            return Unreachable(f"the proxy command failed: {said}", hint=f"try it: {hop.proxy_command}")
        return unreachable(hop, error, waited_s, self._patience.connect_s)

    def _log_in(self, hop: Hop) -> None:
        connection = self._connection(hop, Login(hop))
        try:
            connection.open()
        except BaseException:
            connection.client.close()
            raise
        connection.transport.set_keepalive(self._patience.keepalive_s)
        connection.transport.sock.settimeout(_IDLE_WAKE_S)
        with self._lock:
            if not self._closed:
                self._connections.append(connection)
                return
        connection.client.close()
        raise Unreachable("closed while it was being connected")

    def _shake_hands(self, hop: Hop) -> HostKey:
        connection = self._connection(hop, None)
        carrier = connection.connect_kwargs.get("sock") or connection.open_gateway()
        transport = self._new_transport(hop, carrier)
        try:
            transport.banner_timeout = self._patience.connect_s
            transport.start_client(timeout=self._patience.connect_s)
            return _host_key(transport.get_remote_server_key())
        finally:
            transport.close()
            carrier.close()

    def _connection(self, hop: Hop, login: Login | None) -> fabric.Connection:
        """Return a connection that is not open yet, on a carrier that is where no hop leads to it."""
        gateway = self._connections[-1] if self._connections else False
        carrier = {} if gateway else {"sock": self._carrier(hop)}
        connection = fabric.Connection(
            hop.host,
            user=hop.user,
            port=hop.port,
            config=fabric.Config(lazy=True, ssh_config=SSHConfig()),  # of no file; its own, since fabric writes into it
            gateway=gateway,
            forward_agent=False,
            connect_kwargs={
                "timeout": self._patience.connect_s,
                "banner_timeout": self._patience.connect_s,
                "auth_timeout": self._patience.connect_s,
                "channel_timeout": self._patience.connect_s,
                "transport_factory": lambda sock, **options: self._new_transport(hop, sock, **options),
                "auth_strategy": login,
                **carrier,
            },
        )
        connection.client.set_missing_host_key_policy(_KnownKeysOnly(hop))
        return connection

    def _carrier(self, hop: Hop) -> socket.socket:
        if hop.proxy_command is None:
            return open_tcp(hop, self._patience.connect_s)
        proxy = ProxyProcess(hop.proxy_command)
        self._proxies.append(proxy)
        return proxy.socket

    def _new_transport(self, hop: Hop, carrier: Carrier, **options: Any) -> Transport:
        """Return a transport that asks for those types of host key first of which one is on record.

        Otherwise a server with several types would show one that nobody has enrolled.
        """
        transport = Transport(cast(socket.socket, GuardedCarrier(carrier, self._patience.stall_s)), **options)
        transport.handshake_timeout = self._patience.connect_s
        security = transport.get_security_options()
        wanted = [name for known in known_keys(hop) for name in _signatures(known.key.algorithm)]
        order = dict.fromkeys([*(name for name in wanted if name in security.key_types), *security.key_types])
        security.key_types = tuple(order)
        return transport


class _KnownKeysOnly(MissingHostKeyPolicy):
    """Judges every host key; paramiko is given no known hosts, so none gets past this."""

    def __init__(self, hop: Hop) -> None:
        self._hop = hop

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        """Raise unless the key is on record."""
        check(self._hop, _host_key(key))


def _host_key(key: PKey) -> HostKey:
    return HostKey(key.get_name(), key.asbytes())


def _signatures(algorithm: str) -> tuple[str, ...]:
    """Return the names under which a key's type is negotiated."""
    return _RSA_SIGNATURES if algorithm == "ssh-rsa" else (algorithm,)
