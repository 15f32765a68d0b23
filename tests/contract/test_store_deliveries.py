"""However a log is cut, repeated, reordered, torn or damaged, the database is what one clean delivery makes of it."""

import contextlib
from dataclasses import replace
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.facts import Facts
from orchestrator.domain.run import Offset
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    number,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.databases import Databases, clear, content
from tests.effort import examples

DEVICES = (sample_device("pi-03"), sample_device("nano-01"))
MODEL, SWEEP = sample_model(), sample_sweep(trials=2)
PLANS = {device.name: sample_plan(device, SWEEP, MODEL) for device in DEVICES}
EXAMPLES = {"sqlite": 10, "postgresql": 3}


def eventful_log(device: str) -> EventLog:
    """Return a log in which about everything happens."""
    plan = PLANS[device]
    first, second, third, fourth, *rest = (trial.key for trial in plan.trials)
    log = EventLog("run", plan, f"log-of-{device}").runner_started()
    log.started(first).finished(first, [number("accuracy_top1", 0.97)])
    log.started(second).failed(second).started(second, 2).failed(second, attempt=2)
    log.started(third).finished(third, [Sampled("latency_ns", list(range(40, 90)))], invalid=["too-hot"])
    log.started(fourth).runner_started().started(fourth, 2)
    log.finished(fourth, [Sampled("latency_ns", list(range(70, 120)))], attempt=2).append("later", a=1)
    log.skipped(rest[0]).started(third, 2).finished(third, [number("latency_ns", 55)], attempt=2)
    return log.run_finished()


LOGS = {device: eventful_log(device) for device in PLANS}
LENGTH = min(log.last_seq for log in LOGS.values())
PIECES = st.tuples(st.sampled_from(sorted(LOGS)), st.integers(1, LENGTH), st.integers(1, LENGTH))


def prepare(store: Store) -> None:
    clear(store)
    store.runs.create_run(sample_header("run", SWEEP, MODEL), MODEL, DEVICES)
    for device in DEVICES:
        snapshot = save_snapshot(store, device, Facts(FACTS), STARTED_AT)
        save_plan(store, "run", PLANS[device.name], snapshot, WORKER_SHA256)


def piece(device: str, one: int, other: int) -> RecordsArrived:
    return LOGS[device].arrived(min(one, other), max(one, other))


class Deliveries(RuleBasedStateMachine):
    """Delivers pieces of logs in any way, and keeps track of what must have been taken."""

    store: ClassVar[Store]

    def __init__(self) -> None:
        super().__init__()
        prepare(self.store)
        self.offsets = dict.fromkeys(LOGS, 0)

    @rule(parts=st.lists(PIECES, min_size=1, max_size=3))
    def deliver(self, parts: list[tuple[str, int, int]]) -> None:
        """Deliver a batch; a device whose log has a gap is left out of the rest, as the driver does."""
        batch = [piece(*part) for part in parts]
        while batch:
            try:
                results = self.store.logs.ingest(batch)
            except CorruptLog as error:
                self._expect([part for part in batch if part.device == error.device], refused=True)
                batch = [part for part in batch if part.device != error.device]
                continue
            self._expect(batch, refused=False)
            assert {result.device: result.offset.last_seq for result in results} == {
                part.device: self.offsets[part.device] for part in batch
            }
            return

    @rule(part=PIECES, damage=st.integers(1, 255), place=st.integers(0), torn=st.booleans())
    def deliver_damaged(self, part: tuple[str, int, int], damage: int, place: int, torn: bool) -> None:
        """Tear a piece off, or alter one of its bytes: what precedes the damage counts, nothing after it does."""
        arrived = piece(*part)
        place %= len(arrived.lines)
        harmed = arrived.lines[place] ^ damage
        rest = b"" if torn else bytes([harmed]) + arrived.lines[place + 1 :]
        whole = arrived.lines[:place].count(b"\n")
        with contextlib.suppress(CorruptLog):
            self.store.logs.ingest([replace(arrived, lines=arrived.lines[:place] + rest)])
        reached = self.store.logs.offset("run", arrived.device).last_seq
        before = self.offsets[arrived.device]
        last_good = arrived.first_seq + whole - 1
        # a line is whole without its newline, and a record that is known already may be damaged
        assert before <= reached <= max(before, last_good + 1)
        self.offsets[arrived.device] = reached

    @invariant()
    def offsets_are_what_was_acknowledged(self) -> None:
        for device, reached in self.offsets.items():
            assert self.store.logs.offset("run", device) == Offset(LOGS[device].log_id if reached else None, reached)

    def teardown(self) -> None:
        delivered = content(self.store)
        prepare(self.store)
        for device, reached in self.offsets.items():
            if reached:
                self.store.logs.ingest([LOGS[device].arrived(1, reached)])
        assert content(self.store) == delivered

    def _expect(self, parts: list[RecordsArrived], *, refused: bool) -> None:
        saw_gap = False
        for part in parts:
            saw_gap = saw_gap or part.first_seq > self.offsets[part.device] + 1
            if not saw_gap:
                self.offsets[part.device] = max(self.offsets[part.device], part.last_seq)
        assert saw_gap == refused


def test_the_database_is_what_a_clean_delivery_makes(store: Store, databases: Databases) -> None:
    machine = type("Deliveries", (Deliveries,), {"store": store})
    effort = settings(max_examples=examples(EXAMPLES[databases.kind]), stateful_step_count=12, deadline=None)
    run_state_machine_as_test(machine, settings=effort)
