"""Enroll a device: look at the key that it shows, compare it with what is on record, and put it on record."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, HostKeyUnknown, Unreachable
from orchestrator.transport.known_hosts import HostKey, HostName, KnownKey, append
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.ssh.trust import check, known_keys


@dataclass(frozen=True, slots=True)
class ShownKey:
    """The key that a device shows, the name that it goes by in files of known hosts, and what is on record for it."""

    host_name: HostName
    key: HostKey
    recorded: tuple[KnownKey, ...]

    @property
    def trusted(self) -> bool:
        """Whether this very key is on record already."""
        return any(known.key.blob == self.key.blob for known in self.recorded)


def show_host_key(device: Device, connector: SshConnector) -> ShownKey:
    """Fetch the key that a device shows, without logging in there; jump hosts are logged in to as always."""
    key = connector.show_host_key(device)
    return ShownKey(connector.route(device)[-1].host_name, key, find(device, connector))


def find(device: Device, connector: SshConnector) -> tuple[KnownKey, ...]:
    """Return the keys on record for a device, each with file and line."""
    return known_keys(connector.route(device)[-1])


def record(device: Device, key: HostKey, connector: SshConnector) -> KnownKey:
    """Put a key on record in benchfleet's own file, and say where it stands; once is enough.

    Raises HostKeyChanged if another key is on record: removing that is left to a person.
    """
    hop = connector.route(device)[-1]
    try:
        check(hop, key)
    except HostKeyUnknown:
        try:
            return append(hop.host_name, key, connector.known_hosts)
        except OSError as error:
            raise Unreachable(
                f"the host key cannot be recorded in {connector.known_hosts}: {error.strerror or error}",
                hint="is that directory writable?",
                device=device.name,
            ) from error
    except DeviceError as error:
        error.device = error.device or device.name
        raise
    return next(known for known in known_keys(hop) if known.key.blob == key.blob)
