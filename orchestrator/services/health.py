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


class Twins:
    """Notices devices of an inventory that are one machine: what each measures, the other disturbs."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def notice(self, device: Device, facts: Facts, display: RunDisplay) -> None:
        """Tell people where a device runs the very boot that another one of this run does."""
        boot_id = facts.values.get("boot_id")
        if not isinstance(boot_id, str):
            return
        first = self._first.setdefault(boot_id, device.name)
        if first != device.name:
            message = f"it is the same machine as {first}: what they measure at the same time disturbs each other"
            display.warned(device.name, message, "run them one after the other: --select")
