"""The machine of one device, over any sequence of events that a driver may hand to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.domain.errors import (
    AuthenticationFailed,
    DeviceError,
    DeviceReserved,
    GatewayLost,
    LeaseLost,
    LinkLost,
    NoAnswer,
    NoProgress,
    OrchestratorError,
    PowerSwitchFailed,
    RebootFailed,
    WorkerFailed,
)
from orchestrator.domain.recovery import PowerCycle, Recovery, Rung
from orchestrator.domain.run import DeviceRunState, Offset, Standing
from orchestrator.driving.driver import Driver, DriverTools
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.machine import TABLE, advance
from orchestrator.driving.stages.part import MEASURING, Climb, DevicePart, Hold, Intent, RunnerState, Stage
from orchestrator.driving.table import document
from orchestrator.reporting.live.progress import SilentDisplay
from orchestrator.store.store import Store
from tests.unit.driving.test_drive import PI, RUN, Planner, ScriptedExecutor

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "driving.md"
BAR = Recovery(quarantine=True)
LADDER = Recovery(reboot=("reboot",), power_cycle=PowerCycle(on=("on",)), quarantine=True)

FAILURES = [
    kind("it failed", device="pi-03", step="connect")
    for kind in (
        NoAnswer,
        NoAnswer,
        LinkLost,
        NoProgress,
        GatewayLost,
        RebootFailed,
        PowerSwitchFailed,
        AuthenticationFailed,
        WorkerFailed,
    )
]
DEVICES = [replace(PI, recovery=recovery) for recovery in (Recovery(), LADDER, BAR, replace(LADDER, restarts_max=0))]
RESCUES = (Rung.REBOOT, Rung.POWER_CYCLE)
OFFSETS = (Offset(None, 0), Offset("log-1", 3))
OFTEN = (True, True, True, False)


def _known(dice: Random) -> Standing:
    states = (*DeviceRunState, DeviceRunState.RUNNING, DeviceRunState.PLANNED)
    return Standing(dice.choice(states), None, None, dice.choice(OFTEN), dice.choice(OFFSETS))


EVENTS: dict[type[e.Event], Callable[[Random], e.Event]] = {
    e.LeaseGranted: lambda dice: e.LeaseGranted(dice.choice(OFTEN), _known(dice), ("ann (pid 1)",)),
    e.LeaseQueued: lambda dice: e.LeaseQueued("place 1"),
    e.LeaseRefused: lambda dice: e.LeaseRefused(DeviceReserved("in use", device="pi-03"), _known(dice)),
    e.LeaseTaken: lambda dice: e.LeaseTaken(LeaseLost("pi-03", "taken over"), dice.choice([*DeviceRunState])),
    e.Unusable: lambda dice: e.Unusable(OrchestratorError("no plan")),
    e.FactsStored: lambda dice: e.FactsStored(_known(dice)),
    e.PlanRecorded: lambda dice: e.PlanRecorded(dice.randrange(4)),
    e.RunnerAlive: lambda dice: e.RunnerAlive(),
    e.RungReported: lambda dice: e.RungReported(
        dice.choice((Rung.RETRY, Rung.RECONNECT, *RESCUES)), "", dice.choice(OFTEN), 1.0
    ),
    e.LogEnded: lambda dice: e.LogEnded(
        dice.choice([*e.LogEnd]), None, _known(dice), dice.random() < 0.3, dice.choice(OFTEN)
    ),
    e.SessionOver: lambda dice: e.SessionOver(dice.choice([None, *FAILURES]), dice.uniform(0, 100)),
    e.HelpDue: lambda dice: e.HelpDue(dice.choice([*e.Network]), _known(dice)),
    e.RescueRefused: lambda dice: e.RescueRefused(OrchestratorError("no gateway"), _known(dice)),
}
STARTS = (Stage.PREPARING, Stage.STARTING, Stage.CLOSING, Stage.RESCUING)
"""Stages that only a command that measures leads to."""
RARE = (e.LeaseTaken, e.LeaseRefused, e.LeaseQueued, e.Unusable, e.SessionOver, e.RungReported, e.RescueRefused)
"""Events that many stages hear, and that end most: rare, so that the others get far."""


class Course:
    """A part, taken through events; remembers each step."""

    def __init__(self, part: DevicePart) -> None:
        self.first = self.part = part
        self.steps: list[tuple[DevicePart, e.Event, DevicePart, tuple[o.Order, ...]]] = []

    def take(self, event: e.Event) -> None:
        before = self.part
        self.part, orders = advance(before, event)
        self.steps.append((before, event, self.part, orders))

    def orders(self, *kinds: type[o.Order]) -> list[o.Order]:
        return [order for *_, orders in self.steps for order in orders if isinstance(order, kinds)]


def _part(dice: Random, intents: Sequence[Intent]) -> DevicePart:
    """Return a part in any stage, as the driver may have brought it there."""
    intent = dice.choice(intents)
    stage = dice.choice([stage for stage in Stage if intent in MEASURING or stage not in STARTS])
    part = DevicePart(RUN, intent, dice.choice(DEVICES), dice.choice([*DeviceRunState]), stage)
    if stage in (Stage.REQUESTING, Stage.QUEUED):
        return part
    is_open = stage is Stage.RESCUING
    rung = dice.choice(RESCUES) if is_open else dice.choice([None, Rung.RESTART])
    rungs = {one for one in RESCUES if dice.random() < 0.3 or one is rung}
    climb = Climb(frozenset(rungs), rung, dice.randrange(2), dice.randrange(4), dice.choice(OFTEN), dice.choice(OFTEN))
    return replace(
        part,
        hold=dice.choice([Hold.EXCLUSIVE, Hold.EXCLUSIVE, Hold.SHARED]),
        runner=dice.choice([*RunnerState]),
        climb=climb if intent in MEASURING and (dice.random() < 0.7 or is_open) else Climb(),
        failure=dice.choice(FAILURES) if stage in (Stage.CLOSING, Stage.STRANDED, Stage.RESCUING) else None,
        outcome=dice.choice([*DeviceRunState]) if stage in (Stage.FORGETTING, Stage.ENDED) else None,
    )


def course(seed: int, intents: Sequence[Intent] = tuple(Intent)) -> Course:
    """Take a part through events: mostly those that its stage waits for, but any other may come as well."""
    dice = Random(seed)
    taken = Course(_part(dice, intents))
    for _ in range(dice.randrange(1, 25)):
        expected = [kind for kind in EVENTS if _is_expected(taken.part.stage, kind)]
        common = [kind for kind in expected if kind not in RARE]
        if taken.part.stage is Stage.RESCUING:  # what a rescue is waited for with
            common.append(e.RungReported)
        kinds = dice.choice([common, common, common, expected, expected, list(EVENTS)]) or list(EVENTS)
        taken.take(EVENTS[dice.choice(kinds)](dice))
    return taken


def courses(intents: Sequence[Intent] = tuple(Intent)) -> st.SearchStrategy[Course]:
    """Draw seeds rather than events: a course of thirty draws would take hypothesis longer than the machine."""
    return st.integers(0, 2**32).map(lambda seed: course(seed, intents))


def _is_expected(stage: Stage, kind: type[e.Event]) -> bool:
    return any(rule.event is kind and stage in rule.stages for rule in TABLE)


def let_go(course: Course) -> None:
    """End what is open, and offer no further help: the lease is refused, the session ends, the network is down."""
    known = Standing(DeviceRunState.RUNNING, planned=True)
    refused = DeviceReserved("in use", device="pi-03")
    course.take(e.LeaseRefused(refused, known))
    for _ in range(len(Rung) + 1):  # each rescue brings a session of its own, which ends as well
        course.take(e.SessionOver(LinkLost("lost", device="pi-03"), 1.0))
        course.take(e.HelpDue(e.Network.SILENT, known))


def test_the_document_is_what_the_rules_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "run: python -m orchestrator.driving.table > docs/driving.md"
    )


@given(courses())
def test_each_step_is_a_line_of_the_table(course: Course) -> None:
    for before, event, after, orders in course.steps:
        rule = TABLE.find(before, event)
        if rule is None:
            assert (after, orders) == (before, ())
            continue
        assert after.stage is (before.stage if rule.to is None else rule.to)
        assert {type(order) for order in orders} <= set(rule.orders)


@given(courses())
def test_every_device_ends_once_no_session_and_no_help_are_left(course: Course) -> None:
    let_go(course)
    assert course.part.ended


@given(courses())
def test_an_end_is_final_but_for_a_lease_that_is_lost(course: Course) -> None:
    """The database may refuse the record of the end: then the end is another controller's to tell."""
    for before, event, after, orders in course.steps:
        if before.ended and not isinstance(event, e.LeaseTaken):
            assert (after, orders) == (before, ())
        elif before.ended:
            assert after.ended
            assert all(isinstance(order, o.ShowEnd | o.TellClose) for order in orders)


@given(courses())
def test_a_device_that_was_taken_over_is_never_written(course: Course) -> None:
    is_lost = False
    for _before, event, after, orders in course.steps:
        is_lost = is_lost or isinstance(event, e.LeaseTaken)
        if is_lost:
            assert after.hold is Hold.LOST
            assert not any(isinstance(order, o.WRITES) for order in orders)


@given(courses(MEASURING), st.sampled_from(e.Network))
def test_a_run_that_was_cancelled_elsewhere_is_started_and_rescued_no_more(course: Course, network: e.Network) -> None:
    assume(course.part.found is not DeviceRunState.CANCELLED)
    cancelled = Standing(DeviceRunState.CANCELLED, planned=True)
    for event in (
        e.FactsStored(cancelled),
        e.LogEnded(e.LogEnd.STOPPED, None, cancelled, missing=True),
        e.HelpDue(network, cancelled),
    ):
        after, orders = advance(course.part, event)
        if TABLE.find(course.part, event) is not None:
            assert (after.stage, after.outcome) == (Stage.ENDED, DeviceRunState.CANCELLED)
            assert not any(isinstance(order, o.AssignRest | o.AssignPlan | o.LaunchRescue) for order in orders)


@given(courses())
def test_each_rung_is_climbed_as_often_as_the_inventory_allows(course: Course) -> None:
    begun = [order.rung for order in course.orders(o.BeginRung) if isinstance(order, o.BeginRung)]
    recovery = course.part.device.recovery
    assert begun.count(Rung.REBOOT) <= bool(recovery.reboot)
    assert begun.count(Rung.POWER_CYCLE) <= 2 * (recovery.power_cycle is not None), "a spared device once more"
    rescues = begun.count(Rung.REBOOT) + begun.count(Rung.POWER_CYCLE)
    assert begun.count(Rung.RESTART) <= recovery.restarts_max * (1 + rescues)
    assert len(course.orders(o.SetQuarantine)) <= recovery.quarantine


@given(courses())
def test_nothing_is_done_to_a_device_without_its_own_lease(course: Course) -> None:
    for before, _event, _after, orders in course.steps:
        if any(isinstance(order, o.LaunchRescue | o.SetQuarantine) for order in orders):
            assert before.hold is Hold.EXCLUSIVE
            assert before.intent in MEASURING


@given(courses((Intent.FOLLOW, Intent.CANCEL)))
def test_whoever_follows_or_cancels_starts_nothing(course: Course) -> None:
    assert course.orders(o.Prepare, o.AssignPlan, o.AssignRest, o.LaunchRescue, o.SetQuarantine) == []


@given(courses())
def test_a_rung_on_record_ends_at_most_once_and_only_if_it_began(course: Course) -> None:
    is_open = course.first.climb.open is not None
    for *_, orders in course.steps:
        for order in orders:
            if isinstance(order, o.BeginRung):
                assert not is_open
                is_open = True
            elif isinstance(order, o.EndRung):
                assert is_open
                is_open = False


@given(courses())
def test_a_record_says_what_the_part_keeps(course: Course) -> None:
    for _before, _event, after, orders in course.steps:
        for order in orders:
            if isinstance(order, o.Record | o.ShowEnd):
                assert order.state is after.outcome


@given(courses())
def test_a_complete_run_is_never_recorded_as_anything_else(course: Course) -> None:
    """A device that is out of reach keeps what it has measured."""
    for _before, event, _after, orders in course.steps:
        if isinstance(event, e.HelpDue | e.LeaseRefused) and event.known.state is DeviceRunState.COMPLETE:
            assert not any(isinstance(order, o.Record) for order in orders)


def test_a_silent_device_waits_for_the_others_and_then_for_no_longer() -> None:
    failure: DeviceError = NoAnswer("no route", device="pi-03")
    stranded = DevicePart(
        RUN, Intent.RUN, replace(PI, recovery=LADDER), hold=Hold.EXCLUSIVE, stage=Stage.STRANDED, failure=failure
    )
    known = Standing(DeviceRunState.PLANNED)
    assert advance(stranded, e.HelpDue(e.Network.UNDECIDED, known)) == (stranded, ())
    rescued, _ = advance(stranded, e.HelpDue(e.Network.WITNESSED, known))
    assert rescued.stage is Stage.RESCUING
    left, _ = advance(stranded, e.HelpDue(e.Network.SILENT, known))
    assert (left.stage, left.outcome) == (Stage.ENDED, DeviceRunState.FAILED)
    assert stranded.stranded_at == math.inf


def test_every_order_has_somebody_who_carries_it_out(store: Store) -> None:
    driver = Driver(RUN, Intent.RUN, DriverTools(store, ScriptedExecutor({}), SilentDisplay(), Planner()))
    assert set(driver.handlers) == {order for rule in TABLE for order in rule.orders}
    driver.close()


@pytest.mark.system
def test_no_rule_is_dead() -> None:
    found = {id(TABLE.find(before, event)) for seed in range(3_000) for before, event, *_ in course(seed).steps}
    assert [rule.act.__name__ for rule in TABLE if id(rule) not in found] == []
