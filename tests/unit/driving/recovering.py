"""Boards that fail, and executors that rescue them, for tests of the recovery ladder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from device_worker.protocol.vocabulary import LogState
from orchestrator.domain.conversation import (
    Assignment,
    Command,
    FactsReported,
    FollowEnded,
    PlanStarted,
    Report,
    RungClimbed,
    SessionEnded,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import (
    DeviceError,
    LinkLost,
    NoAnswer,
)
from orchestrator.domain.facts import Facts
from orchestrator.domain.recovery import PowerCycle, Recovery, Rescue, Rung
from orchestrator.domain.run_details import RunDetails
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256
from tests.unit.driving.test_drive import (
    HAT,
    PI,
    RUN,
    Reply,
    ScriptedExecutor,
    drive,
    followed,
    log_of,
    obedient,
    whole_log,
)

BOTH = Recovery(reboot=("sudo", "reboot"), power_cycle=PowerCycle(on=("pdu", "on"), off=("pdu", "off")))


REFUSED = NoAnswer("refused", device="pi-03", step="connect")


LOST = LinkLost("the link fell silent", device="pi-03", step="facts")


class Rescuable(ScriptedExecutor):
    """A device that fails with `first`, and whose every rescue ends as `rescues` say: with an error, or well."""

    def __init__(self, reply: Reply, first: DeviceError | None, rescues: dict[Rung, DeviceError | None]) -> None:
        super().__init__({"pi-03": reply}, {"pi-03": SessionEnded("pi-03", first)} if first else None)
        self._rescues = rescues
        self.rescued: list[Rung] = []

    def greet(self, device: Device, rescue: Rescue | None) -> None:
        if rescue is None:
            super().greet(device, rescue)
            return
        self.rescued.append(rescue.rung)
        failure = self._rescues[rescue.rung]
        self.emit(RungClimbed("pi-03", rescue.rung, str(failure or ""), succeeded=failure is None))
        self.emit(SessionEnded("pi-03", failure) if failure else FactsReported("pi-03", Facts(FACTS), WORKER_SHA256))


def board(recovery: Recovery) -> Device:
    return replace(PI, recovery=recovery)


def events(store: Store) -> list[tuple[str, bool | None]]:
    return [(event.rung.value, event.succeeded) for event in store.recovery.recovery_events(RUN)]


class Dying:
    """A device whose runner ends before its plan does, so many times; then it runs the rest."""

    def __init__(self, times: int) -> None:
        self._left = times

    def __call__(self, command: Command) -> Sequence[Report]:
        started = [PlanStarted("pi-03", RUN, "log-1")] if isinstance(command, Assignment) else []
        if self._left == 0:
            return [*started, *followed(whole_log(PI))]
        if isinstance(command, Assignment):
            self._left -= 1
        log = log_of(PI)
        return [*started, FollowEnded("pi-03", RUN, LogState.STOPPED, log.log_id, log.last_seq, "it was killed")]


def deaths(store: Store, times: int, recovery: Recovery, **rescues: None) -> tuple[RunDetails, Rescuable]:
    executor = Rescuable(Dying(times), None, {Rung(name): failure for name, failure in rescues.items()})
    return drive(store, executor, devices=(board(recovery),)), executor


def dark(name: str) -> SessionEnded:
    return SessionEnded(name, NoAnswer("no route", device=name, step="connect"))


class Lab(ScriptedExecutor):
    """Two boards; a rescue always helps."""

    def __init__(self, greetings: dict[str, Report], *others: Device) -> None:
        super().__init__({device.name: obedient(device) for device in (PI, HAT, *others)}, greetings)
        self.rescued: list[tuple[str, Rung]] = []

    def greet(self, device: Device, rescue: Rescue | None) -> None:
        if rescue is None:
            super().greet(device, rescue)
            return
        self.rescued.append((device.name, rescue.rung))
        self.emit(RungClimbed(device.name, rescue.rung, "", succeeded=True))
        self.emit(FactsReported(device.name, Facts(FACTS), WORKER_SHA256))


def two_boards(*, quarantine: bool = False) -> list[Device]:
    return [replace(one, recovery=replace(BOTH, quarantine=quarantine)) for one in (PI, HAT)]
