"""What every database tells of the conditions of a run: attempts that broke them, and what nothing could judge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from orchestrator.domain.condition import ConditionUse
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from tests.contract.planned_runs import LATENCIES, Planned

NO_PSI = {"cpu_pressure_percent": "/proc/pressure/cpu cannot be read", "temperature_c": "no sensor"}


def trials_of(planned: Planned) -> list[str]:
    key = planned.plan.jobs[0].key
    return [trial.key for trial in planned.plan.trials if trial.job == key and trial.kind is TrialKind.MEASURE]


def limit(store: Store, **limits: float) -> None:
    """Set limits in the recorded plans, as a planner of devices with limits would."""
    with store.database.write() as connection:
        for row in connection.execute(tables.run_device.select()).all():
            document: Any = json.loads(row.plan_document)
            document["limits"].update(limits)
            written = json.dumps(document)
            statement = update(tables.run_device).where(tables.run_device.c.id == row.id)
            connection.execute(statement.values(plan_document=written))


def test_broken_conditions_are_counted_with_those_of_repeated_attempts(store: Store, planned: Planned) -> None:
    first, second, third = trials_of(planned)
    log = planned.log().started(first).finished(first, [LATENCIES], invalid=["other-load", "too-hot"])
    log.started(first, 2).finished(first, [LATENCIES], attempt=2)
    log.started(second).finished(second, [LATENCIES], invalid=["other-load"])
    log.started(third).failed(third)
    store.logs.ingest([log.arrived()])
    assert store.conditions.condition_uses("run") == [ConditionUse("pi-03", 2, {"other-load": 2, "too-hot": 1}, {})]
    assert store.conditions.condition_uses("no-run") == []


@pytest.mark.parametrize(
    ("limits", "unjudged"),
    [
        pytest.param({}, {}, id="no limit, nothing to judge"),
        pytest.param({"cpu_pressure_max_percent": 50.0}, ["cpu_pressure_percent"], id="one limit"),
        pytest.param(
            {"cpu_pressure_max_percent": 50.0, "temperature_c_max": 70.0},
            ["cpu_pressure_percent", "temperature_c"],
            id="two limits",
        ),
    ],
)
def test_what_a_device_cannot_tell_is_said_where_a_limit_asks_for_it(
    store: Store, planned: Planned, limits: dict[str, float], unjudged: list[str]
) -> None:
    limit(store, **limits)
    (first, *_others) = trials_of(planned)
    conditions = {"temperature_c": None, "unknown": NO_PSI}
    log = planned.log().started(first).finished(first, [LATENCIES], conditions=conditions)
    store.logs.ingest([log.arrived()])
    told = {use.device: use.unjudged for use in store.conditions.condition_uses("run")}
    assert told == ({"pi-03": {reading: NO_PSI[reading] for reading in unjudged}} if unjudged else {})
