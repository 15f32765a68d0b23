"""Reach a device over SSH, through any number of jump hosts, and run commands there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paramiko import Channel

from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, LinkLost
from orchestrator.transport.admission import Gate, gate_of_this_process
from orchestrator.transport.base import Completed
from orchestrator.transport.command import END_TIMEOUT_S, WRITE_STALL_S, command_line, run_to_end
from orchestrator.transport.known_hosts import HostKey
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.failures import EXPECTED, words
from orchestrator.transport.ssh.links import Links, Patience
from orchestrator.transport.ssh.route import Hop, Routes
from orchestrator.transport.ssh.stream import SshStream


@dataclass(frozen=True, slots=True)
class SshConnector:
    """Opens transports over SSH.

    A host key is trusted only if on record in `known_hosts`, or in the files of the user or of the system. No setting,
    here or in the ssh configuration, trusts any other key. The agent is asked for keys and never forwarded.
    `ssh_config`, if given, replaces the configuration of user and system. A connection speaks after `keepalive_s` of
    silence, so that routers on the way do not forget the connection. Connections begin in the turns of `gate`.
    `connect_timeout_s` counts the time of waiting for the device, and not the time in the queue.
    """

    known_hosts: Path
    ssh_config: Path | None = None
    connect_timeout_s: float = 10.0
    end_timeout_s: float = END_TIMEOUT_S
    write_stall_s: float = WRITE_STALL_S
    keepalive_s: int = 15
    gate: Gate = field(default_factory=gate_of_this_process)

    def connect(self, device: Device) -> SshTransport:
        """Return an open transport. Raise a DeviceError with the remedy as a hint."""
        links = self._links(device)
        try:
            links.log_in(self.route(device))
        except BaseException as error:
            links.close()
            if isinstance(error, DeviceError):
                error.device = error.device or device.name
            raise
        return SshTransport(device.name, links, self)

    def route(self, device: Device) -> tuple[Hop, ...]:
        """Return the hosts to log in to on the way, with the device as the last."""
        return Routes(SshConfig(self.ssh_config), self.known_hosts).to(device)

    def show_host_key(self, device: Device) -> HostKey:
        """Return the host key shown by the device, without a login on the device. Log in to the jump hosts."""
        with self._links(device) as links:
            try:
                return links.show_host_key(self.route(device))
            except DeviceError as error:
                error.device = error.device or device.name
                raise

    def _links(self, device: Device) -> Links:
        return Links(device.name, self.gate, Patience(self.connect_timeout_s, self.write_stall_s, self.keepalive_s))


class SshTransport:
    """A connection to a device after the login."""

    def __init__(self, device: str, links: Links, settings: SshConnector) -> None:
        self._device = device
        self._links = links
        self._transport = links.transport
        self._settings = settings

    def stream(self, argv: Sequence[str]) -> SshStream:
        """Start a command through the user's login shell on the device. Raise LinkLost if no command can start."""
        line = command_line(argv)
        try:
            # While other devices log in, this machine and the line are shared with them.
            timeout_s = self._settings.gate.stretched(self._settings.connect_timeout_s)
            channel = self._transport.open_session(timeout=timeout_s)
            self._start(channel, line, timeout_s)
        except EXPECTED as error:
            said = words(error) or "no reason given"
            raise LinkLost(f"no command can be started: {said}", device=self._device) from error
        return SshStream(
            channel,
            self._transport,
            end_timeout_s=self._settings.end_timeout_s,
            write_stall_s=self._settings.write_stall_s,
        )

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        """Run a short command to the end. Raise LinkLost after `timeout_s`."""
        return run_to_end(self.stream(argv), timeout_s)

    def close(self) -> None:
        """Drop the connection and the connections to the jump hosts."""
        self._links.close()

    @staticmethod
    def _start(channel: Channel, line: bytes, timeout_s: float) -> None:
        """Have the device start a command, and close the channel if the device does not answer in time."""
        # Paramiko's own call has no time limit.
        guard = threading.Timer(timeout_s, channel.close)
        guard.daemon = True
        guard.start()
        try:
            channel.exec_command(line)
        finally:
            guard.cancel()
