"""Hold all devices known to a controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.selector import select


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hold devices by name, in the order of declaration. Disabled devices are never selected, but may be jump hosts."""

    devices: Mapping[str, Device]
    disabled: Mapping[str, Device] = field(default_factory=dict)

    def device(self, name: str) -> Device:
        """Return a device by exact name, disabled or not, because a disabled jump host needs enrolment too.

        Raise ConfigError for an unknown name.
        """
        device = self.devices.get(name) or self.disabled.get(name)
        if device is None:
            known = (*self.devices, *self.disabled)
            raise ConfigError(f"the inventory has no device {name!r}", hint=did_you_mean(name, known))
        return device

    def select(self, expression: str = "all") -> tuple[Device, ...]:
        """Return the devices picked by a selector. Raise ConfigError if the selector is wrong or picks no device."""
        # Otherwise the error would be "matches no device", although the device is in the file.
        if expression in self.disabled:
            raise ConfigError(
                f"device {expression!r} is disabled",
                hint=f"remove `disabled: true` at {self.disabled[expression].source}",
            )
        return select(expression, self.devices.values())
