"""All devices that a controller knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.selector import select


@dataclass(frozen=True, slots=True)
class Inventory:
    """Devices by name, in the order of their files; `disabled` ones are never selected, but may be jumped through."""

    devices: Mapping[str, Device]
    disabled: Mapping[str, Device] = field(default_factory=dict)

    def device(self, name: str) -> Device:
        """Return one device by its exact name, disabled or not: a jump host needs enrolment too."""
        device = self.devices.get(name) or self.disabled.get(name)
        if device is None:
            known = (*self.devices, *self.disabled)
            raise ConfigError(f"the inventory has no device {name!r}", hint=did_you_mean(name, known))
        return device

    def select(self, expression: str = "all") -> tuple[Device, ...]:
        """Return the devices that a selector picks; raise ConfigError if it picks none."""
        if expression in self.disabled:
            raise ConfigError(
                f"device {expression!r} is disabled",
                hint=f"remove `disabled: true` at {self.disabled[expression].source}",
            )
        return select(expression, self.devices.values())
