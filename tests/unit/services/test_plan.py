from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestrator.domain.device import Device
from orchestrator.domain.errors import BundleError, ExitCode, NoSuchRelease, OrchestratorError
from orchestrator.domain.facts import Facts, Platform
from orchestrator.domain.plan.values import DevicePlan, RuntimeOffer
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.execution.base import Executor
from orchestrator.services.runs.plan import Planning, plan_sweep
from orchestrator.services.runs.prepare import SweepPlanner
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    sample_device,
    sample_model,
    sample_plan,
    sample_sweep,
    save_snapshot,
)

DEVICES = (sample_device("pi-03"), sample_device("pi-04"))
MODEL, SWEEP = sample_model(), sample_sweep()


@pytest.fixture
def store(store: Store) -> Store:
    for device in DEVICES:
        save_snapshot(store, device, Facts(FACTS), STARTED_AT)
    return store


class Planner:
    """Plans for every device but those that it was told to fail for."""

    def __init__(self, failing: Sequence[str], error: OrchestratorError) -> None:
        self._failing = failing
        self._error = error

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        if device.name in self._failing:
            raise self._error
        return sample_plan(device, SWEEP, MODEL)


class Index:
    """A resolver whose package index lacks every release."""

    def offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        raise NoSuchRelease(f"the package index has no {runtime.name} {runtime.version}", "check the version")


def planned(store: Store, failing: Sequence[str], error: OrchestratorError) -> Planning:
    return plan_sweep(DEVICES, Planner(failing, error), store.devices, _nobody_is_probed)


def _nobody_is_probed() -> Executor:
    raise AssertionError


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        ((), ExitCode.FINE),
        (("pi-03",), ExitCode.INCOMPLETE),
        (("pi-03", "pi-04"), ExitCode.INFRASTRUCTURE),
    ],
)
def test_the_exit_code_says_whether_some_or_no_device_was_planned_for(
    store: Store, failing: Sequence[str], code: ExitCode
) -> None:
    planning = planned(store, failing, BundleError("the index does not answer"))
    assert planning.exit_code is code
    assert tuple(planning.failures) == failing


def test_a_release_that_does_not_exist_is_the_sweeps_mistake_and_no_devices(store: Store) -> None:
    with pytest.raises(NoSuchRelease):
        planned(store, ("pi-03",), NoSuchRelease("the package index has no tflite-runtime 2.99.0"))


def test_a_release_that_does_not_exist_is_told_with_its_line() -> None:
    runtime = RuntimeSpec("tflite-runtime==2.99.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.99.0", None, "s.yaml:7")
    planner = SweepPlanner(sample_sweep(runtimes=[runtime]), MODEL, {}, Index(), None)  # type: ignore[arg-type]
    with pytest.raises(NoSuchRelease) as caught:
        planner.plan(DEVICES[0], Facts(FACTS))
    assert str(caught.value) == "s.yaml:7: the package index has no tflite-runtime 2.99.0"
    assert caught.value.hint == "check the version"
    assert caught.value.exit_code is ExitCode.USAGE
