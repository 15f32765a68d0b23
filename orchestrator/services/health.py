"""Check a device before a run sets it to work."""

from __future__ import annotations

from orchestrator.domain.conversation import Step
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceUnfit
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import judge_health
from orchestrator.reporting.base import RunDisplay


def check_health(device: Device, facts: Facts, display: RunDisplay) -> DeviceUnfit | None:
    """Tell people what is worth a word about a device; return why it may not measure, if it may not."""
    for concern in judge_health(facts, device.limits):
        if concern.is_refusal:
            return DeviceUnfit(concern.message, concern.hint, device=device.name, step=Step.FACTS)
        display.warned(device.name, concern.message, concern.hint)
    return None
