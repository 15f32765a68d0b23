"""Enrol a device: show a person its host key, and put the key on record after a yes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import ConfigError


class HostKeys(Protocol):
    """Looks at devices' host keys and keeps them."""

    def look(self, device: Device) -> Enrollment:
        """Fetch the key without logging in; raise HostKeyChanged if another one is on record."""

    def record(self, device: Device) -> Enrollment:
        """Put the key that `look` saw on record."""


def enroll_device(device: Device, host_keys: HostKeys, agreed: Callable[[Enrollment], bool]) -> Enrollment:
    """Show the key by `agreed`, record it if the answer is yes; one that is on record already is left alone."""
    if device.transport is not TransportKind.SSH:
        raise ConfigError(f"{device.name} is not reached by ssh and has no host key", f"declared at {device.source}")
    seen = host_keys.look(device)
    if seen.recorded or not agreed(seen):
        return seen
    return host_keys.record(device)
