"""The driver looks at a device's health before it sets it to work, and only then."""

from __future__ import annotations

import pytest

from orchestrator.domain.conversation import Attachment, FactsReported, FollowEnded, PlanStarted
from orchestrator.domain.facts import Facts
from orchestrator.domain.run import DeviceRunState
from orchestrator.driving.driver import Driver, DriverTools, Intent
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, WORKER_SHA256, sample_header, save_snapshot
from tests.unit.driving.test_drive import (
    MODEL,
    PI,
    RUN,
    SWEEP,
    Planner,
    Reply,
    ScriptedExecutor,
    drive,
    followed,
    log_of,
    obedient,
    whole_log,
)

READ_ONLY = {"health": {"read_only": True}}
THROTTLED = {"throttled": True}


class WarningsDisplay(SilentDisplay):
    """Remembers what it was warned of."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, str]] = []

    def warned(self, device: str, message: str, hint: str | None) -> None:
        self.warnings.append((device, message))


def device(reply: Reply, **facts: object) -> ScriptedExecutor:
    """A device that answers so, and says these facts beside the usual ones."""
    return ScriptedExecutor(
        {"pi-03": reply}, {"pi-03": FactsReported("pi-03", Facts({**FACTS, **facts}), WORKER_SHA256)}
    )


def test_a_device_that_cannot_measure_is_refused_before_it_is_planned_for(store: Store) -> None:
    (part,) = drive(store, device(lambda command: [], **READ_ONLY)).record.devices
    assert part.state is DeviceRunState.FAILED
    assert part.error is not None
    assert "can only be read" in part.error
    assert part.plan_sha256 is None


def test_a_warning_is_shown_and_the_device_measures(store: Store) -> None:
    display = WarningsDisplay()
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI])
    Driver(RUN, Intent.RUN, DriverTools(store, device(obedient(PI), **THROTTLED), display, Planner())).drive([PI])
    assert store.runs.standings(RUN, ["pi-03"])["pi-03"].state is DeviceRunState.COMPLETE
    assert [(device, "held back" in message) for device, message in display.warnings] == [("pi-03", True)]


def test_another_board_under_the_name_is_told_and_measured(store: Store) -> None:
    display = WarningsDisplay()
    save_snapshot(store, PI, Facts({**FACTS, "boot_id": "boot-1", "cpu_model": "Cortex-A53"}), STARTED_AT)
    store.runs.create_run(sample_header(RUN, SWEEP, MODEL), MODEL, [PI])
    executor = device(obedient(PI), boot_id="boot-2", cpu_model="Cortex-A72")
    Driver(RUN, Intent.RUN, DriverTools(store, executor, display, Planner())).drive([PI])
    assert store.runs.standings(RUN, ["pi-03"])["pi-03"].state is DeviceRunState.COMPLETE
    told = "other hardware than before: cpu model Cortex-A53 before, Cortex-A72 now"
    assert display.warnings == [("pi-03", told)]


@pytest.mark.parametrize("intent", [Intent.RESUME, Intent.FOLLOW, Intent.CANCEL])
def test_what_a_device_has_measured_is_collected_whatever_its_health(store: Store, intent: Intent) -> None:
    display = WarningsDisplay()
    log = whole_log(PI)
    drive(store, device(lambda command: [PlanStarted("pi-03", RUN, "log-1")]), Intent.DETACH)
    executor = device(lambda command: followed(log), **READ_ONLY)
    Driver(RUN, intent, DriverTools(store, executor, display, Planner())).drive([PI])
    assert any(isinstance(command, Attachment) for _device, command in executor.posted)
    assert display.warnings == []


def test_the_reason_why_a_runner_stopped_is_kept(store: Store) -> None:
    ended = FollowEnded("pi-03", RUN, "stopped", "log-1", 1, "the device was restarted")
    begun = log_of(PI)
    (part,) = drive(store, device(lambda command: [begun.arrived(), ended])).record.devices
    assert part.state is DeviceRunState.STOPPED
    assert part.error == "the runner on the device ended before its plan did: the device was restarted"
