"""What a sweep demands of a device and of delegates, in the plan that the worker reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from device_worker.protocol.plan import Plan as WorkerPlan
from orchestrator.domain.device import Limits
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.document import planned_jobs
from orchestrator.domain.sweep import Cooling, Delegation, Stop
from tests.unit.domain.plan_documents import document
from tests.unit.domain.planning import DEVICE, FACTS, SWEEP, inputs

UNTOLD = {
    "temperature_c": "no sensor gives a temperature",
    "frequency_percent": "no cpufreq",
    "governor": "no cpufreq",
    "throttled": "no bits, no counters",
}


def untold(**demanded: Any) -> list[tuple[str, str]]:
    facts = Facts({**FACTS.values, "conditions_untold": UNTOLD})
    plan = plan_device(inputs(replace(SWEEP, **demanded), facts=facts))
    return [(one.limit, one.reason) for one in plan.untold]


@pytest.mark.parametrize(
    ("demanded", "limits"),
    [
        ({}, []),
        ({"limits": {"frequency_min_percent": 95.0}}, ["frequency_min_percent"]),
        ({"limits": {"frequency_min_percent": None}}, []),
        ({"limits": {"governor": "performance"}}, ["governor"]),
        ({"limits": {"cpu_steal_max_percent": 5.0, "unsteady_max_percent": 10.0}}, []),
        ({"cooling": Cooling(to_c=55.0)}, ["cooldown_to_c"]),
        ({"unthrottled": True}, ["throttled"]),
    ],
)
def test_what_is_demanded_and_cannot_be_told_is_named_with_its_reason(
    demanded: dict[str, Any], limits: list[str]
) -> None:
    found = untold(**demanded)
    assert [limit for limit, _ in found] == limits
    assert all(reason in UNTOLD.values() for _, reason in found)


def test_a_worker_that_did_not_look_leaves_nothing_to_name() -> None:
    assert plan_device(inputs(replace(SWEEP, limits={"governor": "performance"}))).untold == ()


def test_a_governor_is_set_only_where_the_inventory_allows_that() -> None:
    sweep = replace(SWEEP, limits={"governor": "performance"})
    allowed = plan_device(inputs(sweep, device=replace(DEVICE, allow=("governor",))))
    watched = plan_device(inputs(sweep))
    assert [WorkerPlan.parse(plan.document).governor for plan in (allowed, watched)] == ["performance", None]
    for plan in (allowed, watched):
        assert WorkerPlan.parse(plan.document).limits.conditions["governor"] == "performance"
    idle = plan_device(inputs(device=replace(DEVICE, allow=("governor",))))
    assert "control" not in document(idle)


def test_cooling_of_a_sweep_comes_before_the_devices() -> None:
    device = replace(DEVICE, limits=Limits(cooldown_s_max=30.0))
    limits = WorkerPlan.parse(plan_device(inputs(device=device)).document).limits
    assert (limits.cooldown_to_c, limits.cooldown_s_max) == (None, 30.0)
    cooled = replace(SWEEP, cooling=Cooling(55, 300))
    limits = WorkerPlan.parse(plan_device(inputs(cooled, device=device)).document).limits
    assert (limits.cooldown_to_c, limits.cooldown_s_max) == (55.0, 300.0)


def test_a_stop_rule_and_a_delegates_share_reach_the_worker_and_are_read_back() -> None:
    asked = Delegation(0.5, allow_fallback=True)
    plan = plan_device(inputs(replace(SWEEP, trials=12, stop=Stop(0.01, 12, 600), delegation=asked)))
    read = WorkerPlan.parse(plan.document)
    assert read.stop is not None
    assert (read.stop.ci_halfwidth, read.stop.trials_max, read.stop.device_s_max) == (0.01, 12, 600.0)
    assert {(job.delegation.nodes_min, job.delegation.allow_fallback) for job in read.jobs.values()} == {(0.5, True)}
    assert {job.delegation for job in planned_jobs(plan.document)} == {asked}


def test_a_plan_without_demands_has_the_bytes_of_before() -> None:
    plain = document(plan_device(inputs()))
    assert not {"stop", "control"} & set(plain)
    assert "cooldown_to_c" not in plain["limits"]
    assert not any("delegation" in job for job in plain["jobs"])
    assert WorkerPlan.parse(plan_device(inputs()).document).stop is None
