"""Climb the recovery ladder for devices that fail, one rung at a time, each on record before it is climbed.

Only a device that this driver holds for itself is restarted, rebooted or cycled; a driver that merely collects or
cancels never does. See `orchestrator.domain.recovery`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto

from orchestrator.domain.conversation import Report, RungClimbed, Step
from orchestrator.domain.device import TransportKind
from orchestrator.domain.errors import (
    DeviceError,
    DeviceQuarantined,
    GatewayLost,
    LinkLost,
    NoAnswer,
    OrchestratorError,
    PowerSwitchFailed,
    RebootFailed,
    RunnerStopped,
)
from orchestrator.domain.recovery import Quarantine, Rescue, Rung, next_rescue
from orchestrator.services.device_leases import DeviceLeases
from orchestrator.services.driver_parts import MEASURING, DriverParts, Intent, Part

ANSWERS = (RunnerStopped, RebootFailed)
"""The device itself says so."""
RESCUABLE = (*ANSWERS, NoAnswer, LinkLost, PowerSwitchFailed)
"""What another boot may change: a wrong key, a full disk, or what is on the way to the device, is the same after it."""

NO_WITNESS = "no other device of the run answers over the network now, so this one is neither cycled nor quarantined"


class Help(Enum):
    """What becomes of a device that failed: it is being rescued, that is not decided yet, or nothing is left to try."""

    NOW = auto()
    LATER = auto()
    NONE = auto()


class Ladder:
    """What one driver tries for its devices, its `parts`; `tell` hears what their new sessions report."""

    def __init__(
        self,
        run: str,
        intent: Intent,
        parts: Mapping[str, Part],
        of_driver: DriverParts,
        leases: DeviceLeases,
        *,
        tell: Callable[[Report], None],
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
        self._tell = tell

    def may_restart(self, part: Part) -> bool:
        """Say whether the device's runner may be started once more."""
        return part.restarts < part.device.recovery.restarts_max + self._is_due(part)

    def restart(self, part: Part, reason: str) -> None:
        """Record that a runner is started anew, unless that is what was asked for; raise LeaseLost."""
        part.restarts += 1
        if part.restarts > self._is_due(part):
            self.ended(part, succeeded=False)
            part.rung = self._begin(part, Rung.RESTART, reason)

    def _is_due(self, part: Part) -> bool:
        """Say whether the first start is no recovery: resume was asked for it, and after a reboot it follows."""
        return self._resumes or bool(part.climbed)

    def help(self, part: Part, failure: DeviceError) -> Help:
        """Take the next rung for a device, where the inventory says how: reboot it, cycle its power, quarantine it.

        Its session must have ended. Raise LeaseLost where another controller has the device by now.
        """
        rung = self._next(part, failure)
        verdict = Help.NONE if rung is None else self._outlook(part, failure, rung)
        if verdict is Help.LATER:
            return verdict
        self.ended(part, succeeded=False)
        if rung is None or verdict is Help.NONE:
            return Help.NONE
        if rung is Rung.QUARANTINE:
            self._quarantine(part, str(failure))
            return Help.NONE
        return self._rescue(part, Rescue(rung, if_silent=not isinstance(failure, ANSWERS)), str(failure))

    def wants_rescue(self, part: Part, failure: DeviceError) -> bool:
        """Say whether a rung is left that does something to the device itself, and may help against the failure."""
        return self._next(part, failure) not in (None, Rung.QUARANTINE)

    def climbed(self, part: Part, report: RungClimbed) -> None:
        """Record what a session has tried by itself, or what came of the rung that it was launched for."""
        spared = Rung.RETRY if report.rung is Rung.RETRY else None
        if part.rung is not None and part.rung[1] in (report.rung, Rung.POWER_CYCLE if spared else None):
            self._store.end_rung(part.rung[0], report.succeeded, spared)
            part.rung = None
            if report.rung is not Rung.RESTART:
                self._remember(part, was_spared=spared is not None)
        elif self._leases.has(part.device.name):
            event, _ = self._begin(part, report.rung, report.reason, report.took_s)
            self._store.end_rung(event, report.succeeded)

    @staticmethod
    def _remember(part: Part, *, was_spared: bool) -> None:
        """Keep in mind what a rescue did; one that spared the device may be tried once more."""
        if was_spared and not part.spared:
            part.climbed.discard(Rung.POWER_CYCLE)
        part.spared = part.spared or was_spared
        part.cut_off = part.cut_off or not was_spared

    def ended(self, part: Part, succeeded: bool) -> None:
        """Record whether the rung that was climbed last has helped."""
        if part.rung is not None:
            self._store.end_rung(part.rung[0], succeeded)
            part.rung = None

    def _next(self, part: Part, failure: DeviceError) -> Rung | None:
        holds, recovery = self._leases.has_exclusively(part.device.name), part.device.recovery
        may_help = isinstance(failure, RESCUABLE) and not isinstance(failure, GatewayLost)
        if not (self._measures and holds and may_help):
            return None
        rescue = next_rescue(recovery, part.climbed, answers=not isinstance(failure, NoAnswer))
        bars = recovery.quarantine and not isinstance(failure, RunnerStopped)  # which a trial may bring about
        return rescue or (Rung.QUARANTINE if bars else None)

    def _outlook(self, part: Part, failure: DeviceError, rung: Rung) -> Help:
        """Decide whether it is the device that fails, or this side's network: then all of them go on by themselves.

        A device that does not answer is believed to fail if another one of the run, over the network as well, is heard
        from after that. Where the run has no other, it may be rescued, but is put into quarantine only after that.
        """
        if isinstance(failure, ANSWERS):
            return Help.NOW
        others = [other for other in self._parts.values() if other is not part and _is_remote(other)]
        if any(other.heard_at > part.stranded_at for other in others):
            return Help.NOW
        if any(other.launched and not other.ended and other.stranded is None for other in others):
            return Help.LATER
        was_rescued = part.cut_off and isinstance(failure, NoAnswer)
        if (rung is not Rung.QUARANTINE or was_rescued) and self._is_only_one(part):
            return Help.NOW
        hint = f"is it this side's network? when it is back: benchfleet runs resume {self._run}"
        self._display.warned(part.device.name, NO_WITNESS, hint)
        return Help.NONE

    def _is_only_one(self, part: Part) -> bool:
        """Say whether the run has no other device that could tell whether the network is down: a local one cannot."""
        record = self._store.find_run(self._run)
        remote = [one.device for one in record.devices if one.transport is not TransportKind.LOCAL] if record else []
        return remote == [part.device.name]

    def _rescue(self, part: Part, rescue: Rescue, reason: str) -> Help:
        part.climbed.add(rescue.rung)
        part.restarts = 0
        part.fresh_log = False
        part.rung = self._begin(part, rescue.rung, reason)
        try:
            self._executor.launch([part.device], self._tell, rescue)
        except OrchestratorError as error:  # what would have carried it out is gone
            self.ended(part, succeeded=False)
            self._display.warned(part.device.name, f"it could not be helped: {error}", error.hint)
            return Help.NONE
        return Help.NOW

    def _quarantine(self, part: Part, reason: str) -> None:
        event, _ = self._begin(part, Rung.QUARANTINE, reason)
        made = self._store.quarantine(part.device, reason, self._holder, self._run)
        self._store.end_rung(event, succeeded=True)
        self._display.warned(part.device.name, "it is in quarantine now", readmit_hint(made))

    def _begin(self, part: Part, rung: Rung, reason: str, ago_s: float = 0.0) -> tuple[int, Rung]:
        name = part.device.name
        event = self._store.begin_rung(self._run, name, rung, reason, ago_s=ago_s, leases=self._leases.ids)
        self._display.step(name, Step.RECOVER, f"{rung.value}: {reason}" if reason else rung.value)
        return event, rung


def _is_remote(part: Part) -> bool:
    return part.device.transport is not TransportKind.LOCAL


def kept_out(quarantine: Quarantine) -> DeviceQuarantined:
    """Return why a run may not use a device."""
    since = f"{quarantine.since:%Y-%m-%d %H:%M} UTC"
    words = f"in quarantine since {since}, by {quarantine.author}: {quarantine.reason}"
    return DeviceQuarantined(words, readmit_hint(quarantine), device=quarantine.device)


def readmit_hint(quarantine: Quarantine) -> str:
    """Say how a device comes back into service."""
    return f"once it is well again: benchfleet devices readmit {quarantine.device}"
