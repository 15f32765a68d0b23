"""Score converted files on the held-out set, by running each file itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.models.conversion.data import Samples


def top1(file: Path, samples: Samples) -> float:
    """Return the share of samples whose highest output is the label, with four digits."""
    run = _onnx(file) if file.suffix == ".onnx" else _tflite(file)
    right = sum(
        int(np.argmax(run(row)) == label) for row, label in zip(samples.first(len(samples.y)), samples.y, strict=True)
    )
    return round(right / len(samples.y), 4)


def _onnx(file: Path) -> Callable[[Any], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda row: session.run(None, {name: row})[0]


def _tflite(file: Path) -> Callable[[Any], Any]:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(file), num_threads=1)
    interpreter.allocate_tensors()
    source, sink = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(row: Any) -> Any:
        interpreter.set_tensor(source["index"], _encoded(row, source))
        interpreter.invoke()
        return interpreter.get_tensor(sink["index"])

    return run


def _encoded(row: Any, details: Any) -> Any:
    scale, zero_point = details["quantization"]
    if not scale:
        return row.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(row / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])
