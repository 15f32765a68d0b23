"""What a plug or a PDU that can switch a device's supply does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.domain.device import Device

Pause = Callable[[float], None]
"""Waits so many seconds, or raises where nobody wants to wait any more."""


class PowerSwitch(Protocol):
    """Switches devices' supplies; picklable, so that a gateway elsewhere can use it too."""

    def cycle(self, device: Device, pause: Pause) -> None:
        """Cut a device's power, and give it back; raise PowerSwitchFailed, with the power on if that can be had."""
