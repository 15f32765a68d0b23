"""Quantise ONNX models by ONNX Runtime's quantiser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import ConfigError
from orchestrator.models.conversion.data import Samples
from orchestrator.specs.recipe import RecipeVariantSection

_FOR_TENSORRT = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": True,
    "QuantizeBias": False,
}
"""Its reader of ONNX takes no zero points, no biases of integers, and no scale that several nodes share."""


def convert(network: Path, made: Path, one: RecipeVariantSection, samples: Samples | None) -> None:
    """Write an .onnx file. Raise ConfigError for a quantisation that ONNX Runtime does not have."""
    from onnxruntime import quantization

    if one.quantise == "none":
        shutil.copyfile(network, made)
    elif one.quantise == "dynamic":
        quantization.quantize_dynamic(network, made, weight_type=quantization.QuantType.QInt8)
    elif one.quantise == "int8":
        assert samples is not None
        reader = _Reader(_input_of(network), samples.first(one.samples))
        options = _FOR_TENSORRT if one.symmetric else None
        quantization.quantize_static(network, made, reader, per_channel=one.per_channel_dense, extra_options=options)
    else:
        raise ConfigError(f"{network.name}: ONNX Runtime's quantiser has dynamic and int8, not {one.quantise}")


class _Reader:
    """Hand inputs to the calibration, one after the other."""

    def __init__(self, name: str, rows: Iterator[Any]) -> None:
        self._name = name
        self._rows = rows

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input by name, or None at the end."""
        row = next(self._rows, None)
        return None if row is None else {self._name: row}


def _input_of(network: Path) -> str:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    return str(session.get_inputs()[0].name)
