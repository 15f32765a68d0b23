"""Climb the recovery ladder for devices that fail, one rung at a time, each on record before it is climbed.

Only a device that this driver holds for itself is restarted, rebooted or cycled; a driver that merely collects or
cancels never does. See `orchestrator.domain.recovery`.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.conversation import Report, RungClimbed, Step
from orchestrator.domain.errors import (
    DeviceError,
    DeviceQuarantined,
    LinkLost,
    PowerSwitchFailed,
    RebootFailed,
    Unreachable,
)
from orchestrator.domain.recovery import Quarantine, Rung, next_rescue
from orchestrator.services.device_leases import DeviceLeases
from orchestrator.services.driver_parts import MEASURING, DriverParts, Intent, Part

RESCUABLE = (Unreachable, LinkLost, RebootFailed, PowerSwitchFailed)
"""A wrong key or a full disk is the same after another boot."""


class Ladder:
    """What one driver tries for its devices; `tell` hears what their new sessions report."""

    def __init__(
        self, run: str, intent: Intent, of_driver: DriverParts, leases: DeviceLeases, tell: Callable[[Report], None]
    ) -> None:
        self._run = run
        self._measures = intent in MEASURING
        self._resumes = intent is Intent.RESUME
        self._store = of_driver.store
        self._executor = of_driver.executor
        self._display = of_driver.display
        self._holder = of_driver.tenant.holder
        self._leases = leases
        self._tell = tell

    def may_restart(self, part: Part) -> bool:
        """Say whether the device's runner may be started once more."""
        return part.restarts < part.device.recovery.restarts_max + self._is_due(part)

    def restart(self, part: Part, reason: str) -> None:
        """Record that a runner is started anew, unless that is what was asked for; raise LeaseLost."""
        part.restarts += 1
        if part.restarts > self._is_due(part):
            part.rung = self._begin(part, Rung.RESTART, reason)

    def _is_due(self, part: Part) -> bool:
        """Say whether the first start is no recovery: resume was asked for it, and after a reboot it follows."""
        return self._resumes or bool(part.climbed)

    def rescue(self, part: Part, failure: DeviceError) -> bool:
        """Reboot a device, or cycle its power, where the inventory says how; False where nothing is left to try.

        Its session must have ended. Raise LeaseLost where another controller has the device by now.
        """
        rung = self.next_rescue(part, failure)
        if rung is None:
            return False
        self.ended(part, succeeded=False)
        part.climbed.add(rung)
        part.restarts = 0
        part.fresh_log = False
        part.rung = self._begin(part, rung, str(failure))
        self._executor.launch([part.device], self._tell, rung)
        return True

    def next_rescue(self, part: Part, failure: DeviceError) -> Rung | None:
        """Return the next rung that does something to the device itself, where that may help against the failure."""
        if not self._may_rescue(part, failure):
            return None
        return next_rescue(part.device.recovery, part.climbed, answers=not isinstance(failure, Unreachable))

    def climbed(self, part: Part, report: RungClimbed) -> None:
        """Record what a session has tried by itself, or what came of the rung that it was launched for."""
        if part.rung is None and self._leases.has(part.device.name):
            part.rung = self._begin(part, report.rung, report.reason)
        self.ended(part, report.succeeded)

    def ended(self, part: Part, succeeded: bool) -> None:
        """Record whether the rung that was climbed last has helped."""
        if part.rung is not None:
            self._store.end_rung(part.rung, succeeded)
            part.rung = None

    def exhausted(self, part: Part, failure: DeviceError) -> None:
        """Keep further runs from a device that nothing has helped, where the inventory says so."""
        self.ended(part, succeeded=False)
        if part.device.recovery.quarantine and self._may_rescue(part, failure):
            self._store.end_rung(self._begin(part, Rung.QUARANTINE, str(failure)), succeeded=True)
            made = self._store.quarantine(part.device, str(failure), self._holder, self._run)
            self._display.warned(part.device.name, "it is in quarantine now", readmit_hint(made))

    def _may_rescue(self, part: Part, failure: DeviceError) -> bool:
        holds = self._leases.has_exclusively(part.device.name)
        return self._measures and holds and isinstance(failure, RESCUABLE)

    def _begin(self, part: Part, rung: Rung, reason: str) -> int:
        name = part.device.name
        event = self._store.begin_rung(self._run, name, rung, reason, leases=self._leases.ids)
        self._display.step(name, Step.RECOVER, f"{rung.value}: {reason}" if reason else rung.value)
        return event


def stopped(device: str, reason: str) -> DeviceError:
    """Return the failure that a runner is which ends before its plan does, again and again."""
    return LinkLost(reason, device=device)


def kept_out(quarantine: Quarantine) -> DeviceQuarantined:
    """Return why a run may not use a device."""
    since = f"{quarantine.since:%Y-%m-%d %H:%M} UTC"
    words = f"in quarantine since {since}, by {quarantine.holder}: {quarantine.reason}"
    return DeviceQuarantined(words, readmit_hint(quarantine), device=quarantine.device)


def readmit_hint(quarantine: Quarantine) -> str:
    """Say how a device comes back into service."""
    return f"once it is well again: benchfleet devices readmit {quarantine.device}"
