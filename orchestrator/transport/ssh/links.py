"""Open the SSH connections to a device, each through the connection before."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import fabric
from paramiko import MissingHostKeyPolicy, PKey, SSHClient, SSHConfig, Transport
from paramiko.packet import Packetizer

from orchestrator.domain.errors import DeviceError, NoAnswer, Unreachable
from orchestrator.transport.admission import Gate, Turn
from orchestrator.transport.known_hosts import HostKey
from orchestrator.transport.ssh.algorithms import NamingTransport
from orchestrator.transport.ssh.certificates import SUFFIX
from orchestrator.transport.ssh.failures import EXPECTED, unreachable, was_dropped
from orchestrator.transport.ssh.login import Login
from orchestrator.transport.ssh.persistence import Dropped, again_while_dropped
from orchestrator.transport.ssh.route import Hop
from orchestrator.transport.ssh.sockets import Carrier, GuardedCarrier, ProxyProcess, open_tcp
from orchestrator.transport.ssh.trust import check, records

Result = TypeVar("Result")

_IDLE_WAKE_S = 2.0

_NEVER_S = 86_400.0
"""The value of paramiko's own time limits. Paramiko would count time that a device shares with others."""

_PROXY_WAS_DROPPED = ("connection closed", "connection reset")
"""The words of ssh, as a proxy command, about a jump host that dropped the connection."""

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")

_COMPRESSION = ("zlib@openssh.com", "none")

_SECURITY_OPTIONS = {"ciphers": "ciphers", "macs": "digests", "kexalgorithms": "kex", "hostkeyalgorithms": "key_types"}
"""Paramiko's names of the lists of algorithms, by the keyword of the ssh configuration."""

# The libraries log every raised error with its traceback, and all settings. Users get the error alone.
for _library in ("paramiko", "fabric", "invoke"):
    logging.getLogger(_library).addHandler(logging.NullHandler())
    logging.getLogger(_library).propagate = False


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits: of a step of connecting, of sending without progress, and of silence before a keepalive."""

    connect_s: float
    stall_s: float
    keepalive_s: int


class Links:
    """Hold the connections from hop to hop. Each host key is checked before the login.

    Each hop is entered in a turn of `device` at `gate`.
    """

    def __init__(self, device: str, gate: Gate, patience: Patience) -> None:
        self._device = device
        self._gate = gate
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
        """Log in to each hop, through the hops before. Raise a DeviceError with the failed hop and the reason."""
        for hop in hops:
            self._try(hop, last=hop is hops[-1], action=self._log_in)

    def show_host_key(self, hops: tuple[Hop, ...]) -> HostKey:
        """Return the host key of the last hop, without a login there. Log in to every other hop."""
        for hop in hops[:-1]:
            self._try(hop, last=False, action=self._log_in)
        return self._try(hops[-1], last=True, action=self._shake_hands)

    def close(self) -> None:
        """Drop all connections, the connection of the first hop first. May be called twice."""
        # The other connections end with the outermost, and send nothing any more.
        with self._lock:
            self._closed = True
            connections, self._connections = self._connections, []
            proxies, self._proxies = self._proxies, []
        for connection in connections:
            connection.client.close()
        for proxy in proxies:
            proxy.close()

    def _try(self, hop: Hop, *, last: bool, action: Callable[[Hop, Turn], Result]) -> Result:
        """Call `action` with a hop and its turn, again after each drop."""
        try:
            return again_while_dropped(lambda: self._in_turn(hop, action))
        except DeviceError as failure:
            if last:
                raise
            # A silent jump host says nothing of the device: NoAnswer would have the device rescued.
            kind = Unreachable if isinstance(failure, NoAnswer) else type(failure)
            raise kind(f"jump host {hop.name}: {failure.message}", failure.hint) from failure

    def _in_turn(self, hop: Hop, action: Callable[[Hop, Turn], Result]) -> Result:
        with self._gate.turn(self._device, hop.door, stage=len(self._connections)) as turn:
            try:
                return action(hop, turn)
            except DeviceError:
                raise
            except EXPECTED as error:
                raise self._unreachable(hop, error, turn) from error

    def _unreachable(self, hop: Hop, error: BaseException, turn: Turn) -> Unreachable | Dropped:
        waited_s, limit_s = turn.own_s(), self._connect_s(hop)
        failure = unreachable(hop, error, waited_s, limit_s)
        dropped = was_dropped(error) and waited_s < limit_s
        if hop.proxy_command and self._proxies:
            proxy = self._proxies.pop()
            said = proxy.last_words()
            proxy.close()
            if said:
                failure = Unreachable(f"the proxy command failed: {said}", hint=f"try it: {hop.proxy_command}")
                dropped = dropped and any(word in said.lower() for word in _PROXY_WAS_DROPPED)
        return Dropped(failure, was_alone=turn.refused()) if dropped else failure

    def _log_in(self, hop: Hop, turn: Turn) -> None:
        carrier = self._carrier(hop, turn)
        connection = self._connection(hop, carrier)
        try:
            connection.open()
        except BaseException:
            connection.client.close()
            carrier.close()
            raise
        carrier.be_patient()
        silence_s = min(self._patience.keepalive_s, hop.manner.silence_s or self._patience.keepalive_s)
        connection.transport.set_keepalive(int(silence_s))
        connection.transport.sock.settimeout(_IDLE_WAKE_S)
        with self._lock:
            if not self._closed:
                self._connections.append(connection)
                return
        connection.client.close()
        raise Unreachable("closed while it was being connected")

    def _shake_hands(self, hop: Hop, turn: Turn) -> HostKey:
        carrier = self._carrier(hop, turn)
        transport = self._new_transport(hop, carrier)
        try:
            transport.banner_timeout = _NEVER_S
            transport.start_client(timeout=_NEVER_S)
            return _host_key(transport.get_remote_server_key())
        finally:
            transport.close()
            carrier.close()

    def _connection(self, hop: Hop, carrier: GuardedCarrier) -> fabric.Connection:
        """Return a connection that is still to be opened, over an open carrier."""
        connection = fabric.Connection(
            hop.host,
            user=hop.user,
            port=hop.port,
            # Of no file, and new for each connection: fabric writes into the settings while it connects.
            config=fabric.Config(lazy=True, ssh_config=SSHConfig()),
            gateway=False,
            forward_agent=False,
            connect_kwargs={
                "sock": carrier,
                "timeout": _NEVER_S,
                "banner_timeout": _NEVER_S,
                "auth_timeout": _NEVER_S,
                "channel_timeout": self._patience.connect_s,
                "transport_factory": lambda sock, **options: self._new_transport(hop, sock, **options),
                "auth_strategy": Login(hop),
            },
        )
        connection.client.set_missing_host_key_policy(_KnownKeysOnly(hop))
        return connection

    def _carrier(self, hop: Hop, turn: Turn) -> GuardedCarrier:
        """Return an open carrier to a hop, and tell the turn. The carrier closes when the device is overdue."""
        carrier = self._open_carrier(hop)
        turn.opened()
        connect_s = self._connect_s(hop)
        return GuardedCarrier(carrier, self._patience.stall_s, lambda: turn.own_s() >= connect_s)

    def _open_carrier(self, hop: Hop) -> Carrier:
        if self._connections:
            there, here = (hop.host, hop.port), ("", 0)  # fabric's own gateway says nothing of this side either
            return self.transport.open_channel("direct-tcpip", there, here, timeout=self._connect_s(hop))
        if hop.proxy_command is None:
            return open_tcp(hop, self._connect_s(hop))
        proxy = ProxyProcess(hop.proxy_command)
        self._proxies.append(proxy)
        return proxy.receive(self._connect_s(hop)) if hop.manner.passes_socket else proxy.socket

    def _connect_s(self, hop: Hop) -> float:
        """Return the time limit of connecting to a hop: the longer one of the settings' and the configuration's."""
        return max(self._patience.connect_s, hop.manner.connect_timeout_s or 0.0)

    @staticmethod
    def _new_transport(hop: Hop, carrier: GuardedCarrier, **options: Any) -> Transport:
        """Return a transport that asks for the types of host keys on record first.

        Otherwise a server with several types would show a key that is not enrolled.
        """
        transport = NamingTransport(cast(socket.socket, carrier), packetizer_class=_UntimedPacketizer, **options)
        security = transport.get_security_options()
        allowed = hop.manner.algorithms
        for keyword, name in _SECURITY_OPTIONS.items():
            if keyword in allowed:
                setattr(security, name, allowed[keyword])
        if hop.manner.compression:
            security.compression = _COMPRESSION
        on_record = records(hop)
        wanted = [name for known in on_record.trusted for name in _signatures(known.key.algorithm)]
        certificates = [f"{name}{SUFFIX}" for name in security.key_types if on_record.authorities and name != "ssh-rsa"]
        order = [*certificates, *(name for name in wanted if name in security.key_types), *security.key_types]
        security.key_types = tuple(dict.fromkeys(order))
        return transport


class _UntimedPacketizer(Packetizer):
    """A packetizer without a timer for the handshake."""

    # A timer is a thread for each connection. The guard of the carrier ends a slow handshake instead.
    def start_handshake(self, timeout: float) -> None:
        """Start no timer."""


class _KnownKeysOnly(MissingHostKeyPolicy):
    """Judges every host key. Paramiko has no known hosts of its own, so that no key passes unjudged."""

    def __init__(self, hop: Hop) -> None:
        self._hop = hop

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        """Raise HostKeyUnknown or HostKeyChanged unless the key is on record."""
        certificate = getattr(key, "public_blob", None)
        shown = _host_key(key) if certificate is None else HostKey(certificate.key_type, certificate.key_blob)
        check(self._hop, shown)


def _host_key(key: PKey) -> HostKey:
    """Return a host's key, without its certificate if there is one."""
    return HostKey(key.get_name(), key.asbytes())


def _signatures(algorithm: str) -> tuple[str, ...]:
    """Return the names of a key's type in the negotiation: an RSA key has two."""
    return _RSA_SIGNATURES if algorithm == "ssh-rsa" else (algorithm,)
