"""What goes wrong on our side of one device costs that device alone."""

from __future__ import annotations

import queue
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from orchestrator.domain.conversation import (
    Assignment,
    Close,
    Command,
    FactsReported,
    Forget,
    PlanStarted,
    Report,
    SessionEnded,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.recovery import Rescue
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.execution.base import Emit
from orchestrator.execution.threads import ThreadExecutor
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.services.runs.show import details_of
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256, Sampled, sample_header, sample_plan
from tests.unit.driving.test_drive import (
    HAT,
    MODEL,
    PI,
    RUN,
    SWEEP,
    Planner,
    ScriptedExecutor,
    drive,
    error,
    followed,
    log_of,
    obedient,
    state,
)


class DefectiveSession:
    """A session that runs a plan like any other, unless it meets a defect of ours: at once, or with its first task."""

    def __init__(self, device: Device, defect: str | None) -> None:
        self._device = device
        self._defect = defect
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._answer = obedient(device)

    def run(self, emit: Emit) -> None:
        self._meet("at once")
        emit(FactsReported(self._device.name, Facts(FACTS), WORKER_SHA256))
        while not isinstance(command := self._commands.get(), Close | Forget):
            self._meet("with its task")
            for report in self._reports(command):
                emit(report)
        emit(SessionEnded(self._device.name))

    def post(self, command: Command) -> None:
        self._commands.put(command)

    def _reports(self, command: Command) -> Sequence[Report]:
        return self._answer(command) if isinstance(command, Assignment) else ()

    def _meet(self, moment: str) -> None:
        if self._defect == moment:
            raise RuntimeError("it broke\nand why it did takes a second line")


@dataclass(frozen=True)
class Sessions:
    defects: dict[str, str]

    def __call__(self, device: Device, rescue: Rescue | None = None) -> DefectiveSession:
        return DefectiveSession(device, self.defects.get(device.name))


@pytest.mark.parametrize("moment", ["at once", "with its task"])
def test_a_defect_in_one_session_fails_its_device_in_one_line(store: Store, moment: str) -> None:
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, (PI, HAT))
    executor = ThreadExecutor(Sessions({"pi-04": moment}))
    Driver(RUN, Intent.RUN, DriverTools(store, executor, SilentDisplay(), Planner())).drive((PI, HAT))
    outcome = details_of(store, RUN)
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.FAILED)
    assert error(outcome, HAT) == "pi-04: unexpected RuntimeError: it broke"
    assert next(part.hint for part in outcome.record.devices if part.device == "pi-04")
    assert outcome.exit_code == 3


class Forger(Planner):
    """Plans one device so that the database refuses it."""

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        plan = super().plan(device, facts)
        return replace(plan, sha256="0" * 64) if device == HAT else plan


def test_a_plan_that_the_database_refuses_fails_its_device_alone(store: Store) -> None:
    executor = ScriptedExecutor({device.name: obedient(device) for device in (PI, HAT)})
    outcome = drive(store, executor, devices=(PI, HAT), planner=Forger())
    assert (state(outcome, PI), state(outcome, HAT)) == (DeviceRunState.COMPLETE, DeviceRunState.FAILED)
    assert error(outcome, HAT) == "pi-04: the plan is not what its hash says"
    assert executor.commands("pi-04") == [Close]
    assert outcome.exit_code == 3


@pytest.mark.parametrize(("intent", "command"), [(Intent.RUN, "resume"), (Intent.CANCEL, "cancel")])
def test_a_database_that_fails_in_mid_run_ends_it_with_what_to_do_then(
    store: Store, intent: Intent, command: str
) -> None:
    """Its disk is full from the moment that the device is set to work: the log is more than fits."""
    if intent is Intent.CANCEL:
        detached = ScriptedExecutor({"pi-03": lambda _: [PlanStarted("pi-03", RUN, "log-1")]})
        drive(store, detached, Intent.DETACH)
    log, draw = log_of(PI), random.Random(7)
    for trial in sample_plan(PI, SWEEP, MODEL).trials:
        samples = [draw.randrange(1 << 30) for _ in range(20_000)]
        log.started(trial.key).finished(trial.key, [Sampled("latency_ns", samples)])
    log.run_finished()

    def reply(_: Command) -> Sequence[Report]:
        with store.database.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        return followed(log)

    with pytest.raises(StoreError, match="the disk is full") as told:
        drive(store, ScriptedExecutor({"pi-03": reply}), intent)
    assert told.value.exit_code == 4
    assert (told.value.hint or "").startswith("free some space")
    assert (told.value.hint or "").endswith(f"then: benchfleet runs {command} {RUN}")
