"""Runs whose devices have their plans, and what a store says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.errors import CorruptLog
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.values import DevicePlan, TrialKind
from orchestrator.domain.run import TrialState
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    WORKER_SHA256,
    EventLog,
    Sampled,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)

PI, NANO = sample_device("pi-03"), sample_device("nano-01")
LATENCIES = Sampled("latency_ns", [41_000 + 7 * (i % 97) for i in range(300)])
Rows = Sequence[Any]


@dataclass(frozen=True)
class Planned:
    """A run whose devices have their plans."""

    plan: DevicePlan
    other: DevicePlan

    @property
    def preflights(self) -> list[str]:
        return [trial.key for trial in self.plan.trials if trial.kind is TrialKind.PREFLIGHT]

    @property
    def measures(self) -> list[str]:
        return measures_of(self.plan)

    def log(self, log_id: str = "log-1") -> EventLog:
        return EventLog("run", self.plan, log_id)


def measures_of(plan: DevicePlan) -> list[str]:
    return [trial.key for trial in plan.trials if trial.kind is TrialKind.MEASURE]


def plan_run(store: Store, **sweep_options: Any) -> Planned:
    model, sweep = sample_model(), sample_sweep(**sweep_options)
    store.runs.create_run(sample_header("run", sweep, model), model, [PI, NANO])
    plans = [sample_plan(device, sweep, model) for device in (PI, NANO)]
    for device, plan in zip((PI, NANO), plans, strict=True):
        snapshot = save_snapshot(store, device, Facts(FACTS), STARTED_AT)
        save_plan(store, "run", plan, snapshot, WORKER_SHA256)
    return Planned(*plans)


def rows(store: Store, table: Any, **where: object) -> Rows:
    statement = select(table).filter_by(**where).order_by(*table.primary_key)
    with store.database.read() as connection:
        return connection.execute(statement).all()


def states(store: Store, device: str = "pi-03") -> dict[TrialState, int]:
    record = store.runs.find_run("run")
    assert record is not None
    return next(dict(part.trials) for part in record.devices if part.device == device)


def refused(store: Store, arrived: RecordsArrived) -> str:
    with pytest.raises(CorruptLog) as raised:
        store.logs.ingest([arrived])
    assert raised.value.device == "pi-03"
    return raised.value.message


def refused_in(store: Store, batch: Sequence[RecordsArrived]) -> str:
    with pytest.raises(CorruptLog) as raised:
        store.logs.ingest(batch)
    return raised.value.message
