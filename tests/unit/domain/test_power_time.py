"""What the measurement of power adds to the estimate of a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from device_worker.protocol import power_trace
from orchestrator.domain.facts import Facts
from orchestrator.domain.meter import Meter, MeterKind
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.document import remaining_s
from orchestrator.domain.plan.power_time import READINGS_MIN, READINGS_WANTED, PowerTime, power_time, power_time_of_plan
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.sweep import MeasurePolicy
from tests.unit.domain.planning import inputs

RAPL = {"name": "rapl", "readable": True, "rate_hz": 62.5}
NVML = {"name": "nvml NVIDIA X", "readable": True, "rate_hz": 1.0}
LOCKED = {"name": "rapl", "readable": False, "reason": "no permission"}


def test_readings_are_those_that_the_worker_wants() -> None:
    assert (READINGS_MIN, READINGS_WANTED) == (power_trace.READINGS_MIN, power_trace.READINGS_WANTED)


def time_for(sources: Any, **changes: Any) -> PowerTime:
    device = replace(inputs().device, **changes)
    return power_time(device, Facts({"power_sources": sources}), MeasurePolicy().seconds_max, 120.0)


@pytest.mark.parametrize("sources", [None, [], [LOCKED], ["rapl"], [{"name": "rapl", "readable": True}]])
def test_a_device_without_a_readable_source_needs_no_time(sources: Any) -> None:
    assert time_for(sources) == PowerTime()


def test_a_source_needs_windows_and_idleness_before_and_after() -> None:
    fast = time_for([LOCKED, RAPL])
    assert (fast.first_s, round(fast.each_s, 3), round(fast.window_s, 3)) == (5.0, 1.35, 0.992)
    # 22 readings of a second are more than the 20 s of `seconds_max`: no window is stretched for no figure.
    assert time_for([RAPL, NVML], power_sources=("nvml",)) == PowerTime(22.0, 22.1, 0.0)
    slow = {"name": "x", "readable": True, "rate_hz": 2.0}
    assert time_for([slow]).window_s == 20.0


def test_a_meter_of_the_controller_is_waited_for_unless_it_is_too_slow() -> None:
    meter = Meter(MeterKind.COMMAND, "m", period_s=0.1)
    assert time_for([RAPL], meter=meter) == PowerTime(5.0, 5.1, 6.2)
    assert time_for([RAPL], meter=replace(meter, period_s=1.0)) == PowerTime()


def test_the_estimate_of_a_plan_holds_the_time_for_power() -> None:
    plain, metered = (plan_device(inputs(facts=Facts(one))) for one in ({}, {"power_sources": [RAPL]}))
    measured = sum(trial.kind is TrialKind.MEASURE for trial in plain.trials)
    assert metered.estimate_s == pytest.approx(plain.estimate_s + 5.0 + 1.35 * measured)
    assert metered.document == plain.document


@pytest.mark.parametrize("sources", [[RAPL], [{"name": "x", "readable": True, "rate_hz": 4.0}], []])
def test_what_a_resumed_run_takes_is_what_its_plan_takes_less_what_is_done(sources: Any) -> None:
    asked = replace(inputs(), facts=Facts({"cpu_count": 4, "power_sources": sources}))
    plan = plan_device(asked)
    power = power_time_of_plan(plan.document, asked.device, asked.facts)
    assert remaining_s(plan.document, (), power) == plan.estimate_s
    half = [trial.key for trial in plan.trials[: len(plan.trials) // 2]]
    assert 0 < remaining_s(plan.document, half, power) < plan.estimate_s
    assert remaining_s(plan.document, [trial.key for trial in plan.trials], power) == 0.0
