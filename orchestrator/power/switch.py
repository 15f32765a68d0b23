"""Define the switch of a device's supply: a smart plug, a PDU or a USB hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orchestrator.domain.device import Device

Pause = Callable[[float], None]
"""Wait for the given number of seconds. Raise an exception to end the wait early, as on Ctrl-C."""


class PowerSwitch(Protocol):
    """Switch the supplies of devices. Implementations are picklable, because gateways on other nodes use them too."""

    def cycle(self, device: Device, pause: Pause) -> None:
        """Cut a device's power, wait, and give the power back.

        `pause` waits between off and on. Raise PowerSwitchFailed if a command fails. The power is switched on in any
        case, after a failure of `off` and after an exception from `pause` too.
        """
