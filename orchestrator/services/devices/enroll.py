"""Enrol a device: show a person the device's host key, and put the key on record after a yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.domain.device import Device
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import ConfigError

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring, HostKeys


def enroll(device: str, wiring: FleetWiring, agreed: Callable[[Enrollment], bool]) -> Enrollment:
    """Show the host key of a declared device by `agreed`, and record the key after a yes.

    Raise ConfigError for a device without a host key, HostKeyChanged if another key is on record.
    """
    return enroll_device(wiring.inventory().device(device), wiring.host_keys(), agreed)


def enroll_device(device: Device, host_keys: HostKeys, agreed: Callable[[Enrollment], bool]) -> Enrollment:
    """Show the key by `agreed`, and record the key after a yes. A key on record is not asked about."""
    if not device.transport.has_host_key:
        raise ConfigError(f"{device.name} is not reached by ssh and has no host key", f"declared at {device.source}")
    seen = host_keys.look(device)
    if seen.recorded or not agreed(seen):
        return seen
    return host_keys.record(device)
