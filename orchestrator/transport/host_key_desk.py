"""Look at devices' host keys and keep them, as the service that enrols devices asks for it."""

from __future__ import annotations

from orchestrator.domain.device import Device
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import HostKeyChanged
from orchestrator.transport.host_keys import ShownKey, record, show_host_key
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.ssh.trust import check


class HostKeyDesk:
    """Fetches a device's key once, and records the very key that was shown."""

    def __init__(self, connector: SshConnector) -> None:
        self._connector = connector
        self._seen: dict[str, ShownKey] = {}

    def look(self, device: Device) -> Enrollment:
        """Fetch the key without logging in; raise HostKeyChanged if another one is on record."""
        shown = self._seen[device.name] = show_host_key(device, self._connector)
        if shown.recorded and not shown.trusted:
            try:
                check(self._connector.route(device)[-1], shown.key)
            except HostKeyChanged as error:
                raise error.at(device.name, "enroll") from None
        place = next((known.place for known in shown.recorded if known.key.blob == shown.key.blob), None)
        return Enrollment(device.name, str(shown.host_name), str(shown.key), place)

    def record(self, device: Device) -> Enrollment:
        """Put the key that `look` saw on record."""
        shown = self._seen[device.name]
        known = record(device, shown.key, self._connector)
        return Enrollment(device.name, str(shown.host_name), str(shown.key), known.place)
