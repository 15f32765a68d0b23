"""What makes two jobs of two plans the same measurement."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.domain.plan.document import canonical
from orchestrator.domain.plan.sameness import fingerprints
from orchestrator.testing.event_logs import sample_device, sample_model, sample_plan, sample_sweep

PLAN = sample_plan(sample_device(), sample_sweep(("fp32", "int8")), sample_model()).document


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    plan = json.loads(PLAN)
    change(plan)
    return canonical(plan)


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan["jobs"][0].update(label="digits/fp32 · other words"),
        lambda plan: plan["jobs"][0]["model"].update(name="moved.tflite"),
        lambda plan: plan["measure"].update(seconds_max=3.0),
        lambda plan: plan.update(sweep="another", seed=7),
        lambda plan: plan["trials"].reverse(),
    ],
)
def test_what_does_not_change_the_measured_bytes_changes_nothing(change: Callable[[dict[str, Any]], object]) -> None:
    assert changed(change) != PLAN
    assert fingerprints(changed(change)) == fingerprints(PLAN)


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan["jobs"][0]["model"].update(sha256="0" * 64),
        lambda plan: plan["jobs"][0].update(python_path=["0" * 64]),
        lambda plan: plan["jobs"][0].update(dataset={"name": "test.npz", "sha256": "0" * 64, "size": 1}),
        lambda plan: plan["jobs"][0].update(input={"file": {"name": "input-0", "sha256": "0" * 64, "size": 1}}),
        lambda plan: plan["jobs"][0].update(command=["sh", "-x"]),
        lambda plan: plan["jobs"][0].update(files=[{"name": "a", "sha256": "0" * 64, "size": 1}]),
        lambda plan: plan["jobs"][0]["settings"].update(threads=4),
    ],
)
def test_other_bytes_or_settings_of_a_job_are_another_measurement(change: Callable[[dict[str, Any]], object]) -> None:
    before, after = fingerprints(PLAN), fingerprints(changed(change))
    first, second = before
    assert after[first] != before[first]
    assert after[second] == before[second]


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job.update(runtime="system/tflite", module="auto", python_path=[]),
        lambda job: job.update(
            engine="kserve-v2", endpoint={"model": "m", "ready_s_max": 1.0, "url": "http://pi:8000"}
        ),
    ],
)
def test_software_that_the_plan_cannot_tell_is_never_the_same(change: Callable[[dict[str, Any]], object]) -> None:
    first, second = fingerprints(PLAN)
    assert set(fingerprints(changed(lambda plan: change(plan["jobs"][0])))) == {second}
    started = {"model": "m", "ready_s_max": 1.0}
    assert set(fingerprints(changed(lambda plan: plan["jobs"][0].update(endpoint=started)))) == {first, second}


@pytest.mark.parametrize(
    "change", [lambda plan: plan.update(environment={"LANG": "C"}), lambda plan: plan["measure"].update(streams=8)]
)
def test_another_environment_or_scenario_is_another_measurement(change: Callable[[dict[str, Any]], object]) -> None:
    before, after = fingerprints(PLAN), fingerprints(changed(change))
    assert all(after[key] != before[key] for key in before)
