"""The GPU of a device in its plan: trials see it alone, and nobody chooses it twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.domain.errors import DeviceUnfit
from orchestrator.domain.plan.compose import plan_device
from tests.unit.domain.planning import DEVICE, SWEEP, inputs


def test_the_plan_shows_trials_the_gpu_of_the_device() -> None:
    sweep = replace(SWEEP, environment={"TF_CPP_MIN_LOG_LEVEL": "2"})
    document = json.loads(plan_device(inputs(sweep, device=replace(DEVICE, gpu=3))).document)
    assert document["environment"] == {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "3",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert "environment" not in json.loads(plan_device(inputs()).document)


def test_a_gpu_that_the_sweep_chooses_too_is_refused() -> None:
    sweep = replace(SWEEP, environment={"CUDA_VISIBLE_DEVICES": "0"})
    with pytest.raises(DeviceUnfit, match=r"the sweep sets CUDA_VISIBLE_DEVICES, and the inventory gives .* GPU 3"):
        plan_device(inputs(sweep, device=replace(DEVICE, gpu=3)))
    assert plan_device(inputs(sweep)).jobs, "a sweep may choose where the inventory does not"
