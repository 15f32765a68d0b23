"""Climb the recovery ladder for devices that fail, one rung at a time, each on record before it is climbed.

Only a device that this driver holds for itself is restarted, rebooted or cycled; a driver that merely collects or
cancels never does. See `orchestrator.domain.recovery`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto

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

NOBODY_ANSWERS = "no device of the run answers, so this one is neither cycled nor put into quarantine"
NETWORK_HINT = "is it this side's network? when it is back, benchfleet runs resume last"


class Help(Enum):
    """What becomes of a device that failed: it is being rescued, that is not decided yet, or nothing is left to try."""

    NOW = auto()
    LATER = auto()
    NONE = auto()


class Ladder:
    """What one driver tries for its devices, its `parts`; whoever sets `tell` hears what their new sessions report."""

    def __init__(
        self, run: str, intent: Intent, parts: Mapping[str, Part], of_driver: DriverParts, leases: DeviceLeases
    ) -> None:
        self._run = run
        self._parts = parts
        self._measures = intent in MEASURING
        self._resumes = intent is Intent.RESUME
        self._store = of_driver.store
        self._executor = of_driver.executor
        self._display = of_driver.display
        self._holder = of_driver.tenant.holder
        self._leases = leases
        self.tell: Callable[[Report], None] = _nobody

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

    def help(self, part: Part, failure: DeviceError) -> Help:
        """Take the next rung for a device, where the inventory says how: reboot it, cycle its power, quarantine it.

        Its session must have ended. A device that does not answer is left alone while no other one of the run does: it
        may be this side's network. Raise LeaseLost where another controller has the device by now.
        """
        rung = self._next(part, failure)
        verdict = Help.NONE if rung is None else self._outlook(part)
        if verdict is Help.LATER:
            return verdict
        self.ended(part, succeeded=False)
        if rung is Rung.QUARANTINE and verdict is Help.NOW:
            self._quarantine(part, str(failure))
            return Help.NONE
        if rung is not None and verdict is Help.NOW:
            self._rescue(part, rung, str(failure))
        return verdict

    def wants_rescue(self, part: Part, failure: DeviceError) -> bool:
        """Say whether a rung is left that does something to the device itself, and may help against the failure."""
        return self._next(part, failure) not in (None, Rung.QUARANTINE)

    def _next(self, part: Part, failure: DeviceError) -> Rung | None:
        holds, recovery = self._leases.has_exclusively(part.device.name), part.device.recovery
        if not (self._measures and holds and isinstance(failure, RESCUABLE)):
            return None
        rescue = next_rescue(recovery, part.climbed, answers=not isinstance(failure, Unreachable))
        return rescue or (Rung.QUARANTINE if recovery.quarantine else None)

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

    def _outlook(self, part: Part) -> Help:
        others = [other for other in self._parts.values() if other is not part]
        if part.in_touch or not others or any(other.in_touch for other in others):
            return Help.NOW
        if any(other.launched and not other.ended and other.stranded is None for other in others):
            return Help.LATER
        self._display.warned(part.device.name, NOBODY_ANSWERS, NETWORK_HINT)
        return Help.NONE

    def _rescue(self, part: Part, rung: Rung, reason: str) -> None:
        part.climbed.add(rung)
        part.restarts = 0
        part.fresh_log = False
        part.rung = self._begin(part, rung, reason)
        self._executor.launch([part.device], self.tell, rung)

    def _quarantine(self, part: Part, reason: str) -> None:
        self._store.end_rung(self._begin(part, Rung.QUARANTINE, reason), succeeded=True)
        made = self._store.quarantine(part.device, reason, self._holder, self._run)
        self._display.warned(part.device.name, "it is in quarantine now", readmit_hint(made))

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


def _nobody(report: Report) -> None:
    raise AssertionError(f"nobody listens to {report}")
