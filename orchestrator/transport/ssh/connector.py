"""Reach a device over SSH, through as many jump hosts as it takes, and run commands there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paramiko import Channel

from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, LinkLost
from orchestrator.transport.base import Completed
from orchestrator.transport.command import END_TIMEOUT_S, WRITE_STALL_S, run_to_end
from orchestrator.transport.known_hosts import HostKey
from orchestrator.transport.quoting import command_line
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.failures import EXPECTED, words
from orchestrator.transport.ssh.links import Links, Patience
from orchestrator.transport.ssh.route import Hop, Routes
from orchestrator.transport.ssh.stream import SshStream


@dataclass(frozen=True, slots=True)
class SshConnector:
    """Opens transports over SSH.

    Keys of hosts are trusted if they stand in `known_hosts`, in the user's or in the system's files; there is no
    setting, here or in the ssh configuration, that trusts any other. The agent is asked for keys and never forwarded.
    `ssh_config` stands for the user's and the system's configuration where it is given. A connection that has been idle
    for `keepalive_s` says something, so that whatever lies on the way goes on to know it.
    """

    known_hosts: Path
    ssh_config: Path | None = None
    connect_timeout_s: float = 10.0
    end_timeout_s: float = END_TIMEOUT_S
    write_stall_s: float = WRITE_STALL_S
    keepalive_s: int = 15

    def connect(self, device: Device) -> SshTransport:
        """Return an open transport; the errors say what to do."""
        links = self._links()
        try:
            links.log_in(self.route(device))
        except BaseException as error:
            links.close()
            if isinstance(error, DeviceError):
                error.device = error.device or device.name
            raise
        return SshTransport(device.name, links, self)

    def route(self, device: Device) -> tuple[Hop, ...]:
        """Return the hosts to log in to on the way, the device last."""
        return Routes(SshConfig(self.ssh_config), self.known_hosts).to(device)

    def show_host_key(self, device: Device) -> HostKey:
        """Return the key that the device shows; jump hosts are logged in to, the device is not."""
        with self._links() as links:
            try:
                return links.show_host_key(self.route(device))
            except DeviceError as error:
                error.device = error.device or device.name
                raise

    def _links(self) -> Links:
        return Links(Patience(self.connect_timeout_s, self.write_stall_s, self.keepalive_s))


class SshTransport:
    """A device that we are logged in to."""

    def __init__(self, device: str, links: Links, settings: SshConnector) -> None:
        self._device = device
        self._links = links
        self._transport = links.transport
        self._settings = settings

    def stream(self, argv: Sequence[str]) -> SshStream:
        """Start a command by way of the user's login shell there."""
        line = command_line(argv)
        try:
            channel = self._transport.open_session(timeout=self._settings.connect_timeout_s)
            self._start(channel, line)
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
        """Run a short command to its end."""
        return run_to_end(self.stream(argv), timeout_s)

    def close(self) -> None:
        """Drop the connection and those that lead to it."""
        self._links.close()

    def _start(self, channel: Channel, line: bytes) -> None:
        """Have the device start a command; it may never answer, and paramiko would wait for ever."""
        guard = threading.Timer(self._settings.connect_timeout_s, channel.close)
        guard.daemon = True
        guard.start()
        try:
            channel.exec_command(line)
        finally:
            guard.cancel()
