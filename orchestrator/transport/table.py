"""List the kinds of transport, a line each. The module of a kind is imported for the first device of the kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from orchestrator.domain.device import Device, TransportKind
from orchestrator.transport.base import Connector, Transport
from orchestrator.transport.settings import TransportSettings

MODULES: Mapping[TransportKind, str] = MappingProxyType(
    {
        TransportKind.LOCAL: "orchestrator.transport.local",
        TransportKind.RAY: "orchestrator.transport.ray",
        TransportKind.SSH: "orchestrator.transport.ssh",
    }
)
"""Each module has a function `connector(settings) -> Connector`."""


@dataclass(frozen=True, slots=True)
class Connectors:
    """The connector for all devices. Chooses the kind by the device's `transport`."""

    settings: TransportSettings

    def connect(self, device: Device) -> Transport:
        """Return an open transport of the kind named in the inventory. Raise DeviceError."""
        return connector_for(device.transport, self.settings).connect(device)


def connector_for(kind: TransportKind, settings: TransportSettings) -> Connector:
    """Return the connector of a kind."""
    # By name and late: a command for local devices need not import fabric and paramiko.
    connector: Connector = import_module(MODULES[kind]).connector(settings)
    return connector
