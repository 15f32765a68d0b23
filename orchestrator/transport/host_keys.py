"""Enroll a device: fetch the shown host key, compare the key with the keys on record, and record the key."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from orchestrator.domain.device import Device
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import DeviceError, HostKeyChanged, HostKeyUnknown, Unreachable
from orchestrator.transport.known_hosts import HostKey, HostName, KnownKey, append
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.ssh.trust import check, known_keys

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ROOM_HINT = "free space on the disk of this machine, or of its user's quota"


@dataclass(frozen=True, slots=True)
class ShownKey:
    """The key shown by a device, the device's name in files of known hosts, and the keys on record for the name."""

    host_name: HostName
    key: HostKey
    recorded: tuple[KnownKey, ...]

    @property
    def trusted(self) -> bool:
        """Whether the shown key is on record already."""
        return any(known.key.blob == self.key.blob for known in self.recorded)


class SshHostKeys:
    """Shows and records the host keys of devices, for the service of enrolling."""

    def __init__(self, connector: SshConnector) -> None:
        self._connector = connector
        self._seen: dict[str, ShownKey] = {}

    def look(self, device: Device) -> Enrollment:
        """Fetch a device's key without a login. Raise HostKeyChanged if another key is on record."""
        shown = self._seen[device.name] = show_host_key(device, self._connector)
        if shown.recorded and not shown.trusted:
            try:
                check(self._connector.route(device)[-1], shown.key)
            except HostKeyChanged as error:
                raise error.at(device.name, "enroll") from None
        place = next((known.place for known in shown.recorded if known.key.blob == shown.key.blob), None)
        return Enrollment(device.name, str(shown.host_name), str(shown.key), place)

    def record(self, device: Device) -> Enrollment:
        """Record the very key seen by `look`, which a person has confirmed."""
        shown = self._seen[device.name]
        known = record(device, shown.key, self._connector)
        return Enrollment(device.name, str(shown.host_name), str(shown.key), known.place)


def show_host_key(device: Device, connector: SshConnector) -> ShownKey:
    """Fetch the key shown by a device, without a login on the device. Log in to the jump hosts."""
    key = connector.show_host_key(device)
    return ShownKey(connector.route(device)[-1].host_name, key, find(device, connector))


def find(device: Device, connector: SshConnector) -> tuple[KnownKey, ...]:
    """Return the keys on record for a device, each with file and line."""
    return known_keys(connector.route(device)[-1])


def record(device: Device, key: HostKey, connector: SshConnector) -> KnownKey:
    """Record a key in benchfleet's own file unless on record already, and return the key with file and line.

    Raise HostKeyChanged if another key is on record: only a person may remove a key. Raise Unreachable if the file
    cannot be written.
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
                hint=_ROOM_HINT if error.errno in _FULL else "make the file and its directory writable",
                device=device.name,
            ) from error
    except DeviceError as error:
        error.device = error.device or device.name
        raise
    return next(known for known in known_keys(hop) if known.key.blob == key.blob)
