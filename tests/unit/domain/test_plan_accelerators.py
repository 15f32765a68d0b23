"""What a plan says of cells for accelerators that the device, or the package, does not have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Format
from orchestrator.domain.plan.admit import needed_runtimes
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import ALL_NODES, Delegation, Setting
from tests.unit.domain.plan_documents import reasons
from tests.unit.domain.planning import OLD, ONNX, SWEEP, inputs, with_artifacts

GPU = RuntimeSpec("onnxruntime-gpu==1.24.4", RuntimeSource.BUNDLE, "onnxruntime-gpu", "1.24.4")
ON_OPENVINO = RuntimeSpec("onnxruntime-openvino==1.24.1", RuntimeSource.BUNDLE, "onnxruntime-openvino", "1.24.1")
OPENVINO = RuntimeSpec("openvino==2026.4.1", RuntimeSource.BUNDLE, "openvino", "2026.4.1")
SYSTEM_ONNX = RuntimeSpec("system/onnxruntime", RuntimeSource.SYSTEM, "onnxruntime")
WITH_GPU = {"accelerators": {"nvidia": ["/dev/nvidia0"], "edgetpu": []}, "libraries": ["libcuda.so.1"]}
WITHOUT_GPU = {"accelerators": {"nvidia": [], "edgetpu": []}, "libraries": []}
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
MODEL = with_artifacts("fp32", Format.ONNX, Format.TFLITE)


def reason(runtime: RuntimeSpec, facts: dict[str, Any], **settings: Setting) -> str | None:
    """Return why the one cell of such a sweep is left out, or None for a planned cell."""
    matrix = {key: (value,) for key, value in settings.items()}
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(runtime,), matrix=matrix)
    plan = plan_device(inputs(sweep, MODEL, facts=Facts({"cpu_count": 4, **facts})))
    assert len(plan.jobs) + len(plan.excluded) == 1
    return next(iter(reasons(plan).values()), None)


@pytest.mark.parametrize(
    ("runtime", "facts", "settings", "words"),
    [
        (GPU, WITHOUT_GPU, {"provider": CUDA}, "onnxruntime-gpu==1.24.4 needs an NVIDIA GPU, and the device has none"),
        (GPU, WITHOUT_GPU, {}, "choose a device with one (--select), or write onnxruntime==1.24.4"),
        (SYSTEM_ONNX, WITHOUT_GPU, {"provider": CUDA}, f"{CUDA} needs an NVIDIA GPU"),
        (GPU, WITH_GPU, {"provider": TENSORRT}, f"{TENSORRT} needs libnvinfer.so, which the device does not have"),
        (ONNX, WITH_GPU, {"provider": CUDA}, f"onnxruntime==1.20.1 has no {CUDA}: write onnxruntime-gpu==VERSION"),
        (GPU, WITH_GPU, {"provider": CUDA, "precision": "f16"}, f"{CUDA} has no precision: f16; it computes as the"),
        (
            ON_OPENVINO,
            WITHOUT_GPU,
            {"provider": "OpenVINOExecutionProvider", "precision": "int8"},
            "OpenVINOExecutionProvider has no precision: int8; it has f32, bf16, f16",
        ),
        (OPENVINO, {}, {"precision": "int8"}, "openvino has no precision: int8; it has f32, bf16, f16"),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(
    runtime: RuntimeSpec, facts: dict[str, Any], settings: dict[str, Setting], words: str
) -> None:
    assert words in (reason(runtime, facts, **settings) or "")


@pytest.mark.parametrize(
    ("runtime", "facts", "settings"),
    [
        (GPU, WITH_GPU, {"provider": CUDA}),
        (GPU, {}, {"provider": CUDA}),
        (GPU, {**WITH_GPU, "libraries": ["libnvinfer.so.10"]}, {"provider": TENSORRT, "precision": "int8"}),
        (GPU, {**WITH_GPU, "libraries": None}, {"provider": TENSORRT}),
        (GPU, {"accelerators": "none", "libraries": 7}, {"provider": TENSORRT}),
        (ON_OPENVINO, WITHOUT_GPU, {"provider": "OpenVINOExecutionProvider", "precision": "f16"}),
        (ONNX, WITHOUT_GPU, {"provider": "CPUExecutionProvider", "precision": "none"}),
        (SYSTEM_ONNX, WITH_GPU, {"provider": "MIGraphXExecutionProvider", "precision": "f16"}),
    ],
)
def test_what_is_there_or_unknown_is_planned(
    runtime: RuntimeSpec, facts: dict[str, Any], settings: dict[str, Setting]
) -> None:
    assert reason(runtime, facts, **settings) is None


WITH_EDGETPU = {"accelerators": {"nvidia": [], "edgetpu": ["/dev/apex_0"]}, "libraries": ["libedgetpu.so.1"]}


def edgetpu_reason(
    facts: dict[str, Any], delegate: str | None, *, compiled: bool, delegation: Delegation = ALL_NODES
) -> str | None:
    matrix: dict[str, tuple[Setting, ...]] = {} if delegate is None else {"delegate": (delegate,)}
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(OLD,), matrix=matrix, delegation=delegation)
    paths = frozenset(one.path for one in MODEL.variants["fp32"].artifacts) if compiled else frozenset()
    plan = plan_device(inputs(sweep, MODEL, facts=Facts(facts), for_edgetpu=paths))
    return next(iter(reasons(plan).values()), None)


@pytest.mark.parametrize(
    ("facts", "delegate", "compiled", "words"),
    [
        (WITH_EDGETPU, None, True, "is compiled for the EdgeTPU: write matrix: {delegate: [libedgetpu.so.1]}"),
        (WITH_EDGETPU, "xnnpack", True, "is compiled for the EdgeTPU"),
        (WITH_EDGETPU, "libedgetpu.so.1", False, "is not compiled for the EdgeTPU, which would run none of its nodes"),
        ({**WITH_EDGETPU, "libraries": []}, "libedgetpu.so.1", True, "the device has no libedgetpu.so.1: install"),
        (
            {**WITH_EDGETPU, "accelerators": {"nvidia": [], "edgetpu": []}},
            "libedgetpu.so.1",
            True,
            "libedgetpu.so.1 needs an EdgeTPU, and the device has none",
        ),
        (WITH_EDGETPU, "libedgetpu.so.1", True, None),
        ({}, "libedgetpu.so.1", True, None),
        (WITHOUT_GPU, "/opt/fake/libedgetpu.so.1", True, None),
        (WITHOUT_GPU, "libother.so", True, None),
        (WITHOUT_GPU, None, False, None),
    ],
)
def test_a_file_of_the_edgetpu_goes_with_its_library(
    facts: dict[str, Any], delegate: str | None, compiled: bool, words: str | None
) -> None:
    found = edgetpu_reason(facts, delegate, compiled=compiled)
    assert found is None if words is None else words in (found or "")


def test_a_plain_file_may_fall_back_where_the_sweep_allows_that() -> None:
    allowed = Delegation(allow_fallback=True)
    assert edgetpu_reason(WITH_EDGETPU, "libedgetpu.so.1", compiled=False, delegation=allowed) is None


def test_a_bundle_that_no_cell_can_use_is_not_resolved() -> None:
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(OLD, ONNX, GPU), matrix={})
    without, with_one = (inputs(sweep, MODEL, facts=Facts(facts), offers=()) for facts in (WITHOUT_GPU, WITH_GPU))
    assert needed_runtimes(without) == {OLD.label, ONNX.label}
    assert needed_runtimes(with_one) == {OLD.label, ONNX.label, GPU.label}
