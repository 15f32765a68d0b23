"""What comes too late: a plan from facts before a reboot, a record under a lease that is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, NoReturn

import pytest

from orchestrator.domain.conversation import Assignment, Close, FactsReported, RungClimbed, SessionEnded
from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan, PreparedPlan
from orchestrator.domain.recovery import Recovery, Rescue
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.driving.plans import PlanMade
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, WORKER_SHA256, sample_header
from tests.unit.driving.recovering import BOTH, LOST, Dying, board
from tests.unit.driving.test_drive import MODEL, RUN, SWEEP, Planner, ScriptedExecutor, obedient


class PlansOnceAgain(Planner):
    """Makes the first plan of a device last until a second is asked for."""

    def __init__(self) -> None:
        self.boots: list[object] = []
        self.made: list[DevicePlan] = []
        self.first_told, self.second_asked = Event(), Event()

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        self.boots.append(facts.values.get("boot_id"))
        if len(self.boots) == 1:
            assert self.second_asked.wait(10)
        else:
            self.second_asked.set()
            assert self.first_told.wait(10)
        plan = super().plan(device, facts)
        self.made.append(plan)
        return plan


class LosesTheFirstSession(ScriptedExecutor):
    """Loses a device while its plan is being made, and finds it again after a reboot."""

    def greet(self, device: Device, rescue: Rescue | None) -> None:
        boot_id = "before" if rescue is None else "after"
        if rescue is not None:
            self.emit(RungClimbed(device.name, rescue.rung, "", succeeded=True))
        self.emit(FactsReported(device.name, Facts({**FACTS, "boot_id": boot_id}), WORKER_SHA256))
        if rescue is None:
            self.emit(SessionEnded(device.name, LOST))


def test_a_plan_from_facts_before_a_reboot_is_not_recorded_beside_the_facts_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, planner = board(BOTH), PlansOnceAgain()
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [device])
    save_plans = store.plans.save_plans
    saved: list[DevicePlan] = []

    def save(run: str, plans: Sequence[PreparedPlan], leases: Mapping[str, int]) -> Mapping[str, StoreError]:
        saved.extend(one.plan for one in plans)
        return save_plans(run, plans, leases)

    monkeypatch.setattr(store.plans, "save_plans", save)
    executor = LosesTheFirstSession({device.name: obedient(device)})
    driver = Driver(RUN, Intent.RUN, DriverTools(store, executor, SilentDisplay(), planner))
    tell = driver._plans._tell

    def note(made: PlanMade) -> None:
        tell(made)
        planner.first_told.set()

    monkeypatch.setattr(driver._plans, "_tell", note)
    driver.drive([device])
    assert planner.boots == ["before", "after"]
    assert len(saved) == 1
    assert saved[0] is planner.made[1]


def test_a_session_is_closed_although_the_record_of_its_end_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the session would follow a log on a device that another controller has by now."""
    device = board(Recovery(restarts_max=0))
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [device])

    def refuse(*arguments: Any, **options: Any) -> NoReturn:
        raise LeaseLost(device.name, "bob@ws2 has it now")

    monkeypatch.setattr(store.runs, "set_device_state", refuse)
    executor = ScriptedExecutor({device.name: Dying(1)})
    driver = Driver(RUN, Intent.RUN, DriverTools(store, executor, SilentDisplay(), Planner()))
    assert driver.drive([device]) == {device.name}
    assert executor.commands(device.name) == [Assignment, Close]
