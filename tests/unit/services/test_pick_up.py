"""Picking a run up tells what is still to come, before the devices say anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from orchestrator.domain.conversation import Command, Report, RunnerStarted
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.run import DeviceRunState
from orchestrator.reporting.progress import SilentDisplay
from orchestrator.services.drive import DriverParts, Intent
from orchestrator.services.pick_up import pick_up
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import Sampled, sample_plan
from tests.unit.services.test_drive import (
    HAT,
    MODEL,
    PI,
    RUN,
    SWEEP,
    Planner,
    ScriptedExecutor,
    drive,
    followed,
    log_of,
    whole_log,
)


class TotalsDisplay(SilentDisplay):
    """Remembers how many trials were announced."""

    def __init__(self) -> None:
        self.announced: list[tuple[str, int]] = []

    def planned(self, device: str, trials: int, excluded: int) -> None:
        self.announced.append((device, trials))


@pytest.fixture
def store(database_file: Path) -> Iterator[Store]:
    with open_store(str(database_file)) as opened:
        yield opened


@pytest.mark.parametrize(("intent", "announced"), [(Intent.FOLLOW, 2), (Intent.RESUME, 2), (Intent.CANCEL, None)])
def test_the_rest_of_a_run_is_announced(store: Store, intent: Intent, announced: int | None) -> None:
    """One of three trials is in the database when the run is picked up."""
    preflight = sample_plan(PI, SWEEP, MODEL).trials[0].key
    begun = log_of(PI).started(preflight).finished(preflight, [Sampled("load_ns", [5])])
    drive(store, ScriptedExecutor({"pi-03": lambda command: [RunnerStarted("pi-03", RUN, "log-1")]}), Intent.DETACH)
    store.ingest([begun.arrived()])

    def reply(command: Command) -> Sequence[Report]:
        return followed(whole_log(PI), after=begun.last_seq)

    display = TotalsDisplay()
    parts = DriverParts(store, ScriptedExecutor({"pi-03": reply}), display, Planner())
    record = store.find_run(RUN)
    assert record is not None
    outcome = pick_up(record, intent, Inventory({"pi-03": PI}), parts)

    assert outcome.missing == ()
    assert display.announced == ([] if announced is None else [("pi-03", announced)])


def test_only_selected_devices_are_picked_up_and_others_may_be_missing_from_the_inventory(store: Store) -> None:
    def detached(name: str) -> Callable[[Command], Sequence[Report]]:
        return lambda _: [RunnerStarted(name, RUN, f"log-of-{name}")]

    begun = ScriptedExecutor({"pi-03": detached("pi-03"), "pi-04": detached("pi-04")})
    drive(store, begun, Intent.DETACH, devices=(PI, HAT))
    executor = ScriptedExecutor({"pi-03": lambda _: followed(whole_log(PI))})
    parts = DriverParts(store, executor, SilentDisplay(), Planner())
    record = store.find_run(RUN)
    assert record is not None
    outcome = pick_up(record, Intent.RESUME, Inventory({"pi-03": PI}), parts, select="pi-03")
    states = {device.device: device.state for device in outcome.record.devices}
    assert states == {"pi-03": DeviceRunState.COMPLETE, "pi-04": DeviceRunState.RUNNING}
