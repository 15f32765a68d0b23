"""Check a device before the device is set to work."""

from __future__ import annotations

from datetime import datetime

from orchestrator.domain.conversation import Step
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceUnfit
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import judge_health
from orchestrator.domain.machines import find_exchange
from orchestrator.reporting.base import RunDisplay


def check_health(device: Device, facts: Facts, display: RunDisplay) -> DeviceUnfit | None:
    """Warn of every concern about a device. Return the reason why the device may not measure, or None."""
    for concern in judge_health(facts, device.limits, device.gpu):
        if concern.is_refusal:
            return DeviceUnfit(concern.message, concern.hint, device=device.name, step=Step.FACTS)
        display.warned(device.name, concern.message, concern.hint)
    return None


def warn_of_exchange(device: str, before: tuple[Facts, datetime] | None, facts: Facts, display: RunDisplay) -> None:
    """Warn of a device with other hardware than in the last facts."""
    concern = find_exchange(before[0], facts) if before else None
    if concern is not None:
        display.warned(device, concern.message, concern.hint)
