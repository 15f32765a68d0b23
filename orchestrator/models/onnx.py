"""Read the inputs, outputs and weights' type of an .onnx file: Protocol Buffers, of which few fields are needed.

The numbers of fields are those of ONNX's public schema, which only ever adds fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.domain.quoting import quoted
from orchestrator.models.protobuf import Message, required
from orchestrator.models.window import Divided, Malformed, Window

_DTYPES = (
    "undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16",
    "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16",
)  # fmt: skip
_MODEL_GRAPH = 7
_GRAPH_WEIGHTS, _GRAPH_INPUTS, _GRAPH_OUTPUTS = 5, 11, 12
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_DTYPE, _TENSOR_SHAPE = 1, 2
_SHAPE_DIMENSION = 1
_DIMENSION_SIZE = 1
_WEIGHTS_DIMENSION, _WEIGHTS_DTYPE, _WEIGHTS_NAME, _WEIGHTS_OUTSIDE = 1, 2, 8, 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


def read_onnx(window: Window) -> Interface:
    """Return what the graph takes and gives. Raise Malformed for anything but an ONNX model."""
    graph = Message(window, 0, window.size).message(_MODEL_GRAPH)
    if graph is None:
        raise Malformed("it has no graph, as an ONNX model has")
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    names: set[str] = set()
    weights: Counter[str] = Counter()
    for number, found in graph.fields():
        if number == _GRAPH_INPUTS:
            inputs.append(_described(required(found)))
        elif number == _GRAPH_OUTPUTS:
            outputs.append(_described(required(found)))
        elif number == _GRAPH_WEIGHTS:
            weight = required(found)
            _refuse_outside(weight)
            names.add(weight.text(_WEIGHTS_NAME))
            weights[_name_of(weight.number(_WEIGHTS_DTYPE))] += weight.size
    # Older files list the weights among the inputs too.
    taken = tuple(one for one in inputs if one.name not in names)
    if not taken and not outputs:
        raise Malformed("its graph has neither inputs nor outputs")
    return Interface(taken, tuple(outputs), _precision(weights))


def _refuse_outside(weight: Message) -> None:
    """Raise Divided for a weight in a further file."""
    for number, found in weight.fields():
        entry = required(found) if number == _WEIGHTS_OUTSIDE else None
        if entry is not None and entry.text(_ENTRY_KEY) == "location":
            raise Divided(quoted(entry.text(_ENTRY_VALUE)))


def _described(value: Message) -> Tensor:
    kind = value.message(_VALUE_TYPE)
    tensor = None if kind is None else kind.message(_TYPE_TENSOR)
    if tensor is None:
        return Tensor(value.text(_VALUE_NAME), None, "other")
    shape = tensor.message(_TENSOR_SHAPE)
    dimensions = None if shape is None else tuple(_dimensions(shape))
    return Tensor(value.text(_VALUE_NAME), dimensions, _name_of(tensor.number(_TENSOR_DTYPE)))


def _dimensions(shape: Message) -> Iterator[int | None]:
    for number, found in shape.fields():
        if number == _SHAPE_DIMENSION:
            size = required(found).number(_DIMENSION_SIZE)
            # A negative number has 64 bits here. Some exporters write -1 where a dimension is dynamic.
            yield None if size is None or size >= 1 << 63 else size


def _name_of(dtype: int | None) -> str:
    return _DTYPES[dtype] if dtype is not None and dtype < len(_DTYPES) else f"type-{dtype}"


def _precision(weights: Counter[str]) -> str:
    if not weights:
        return "unknown"
    ((main, _),) = weights.most_common(1)
    return {"float32": "fp32", "float16": "fp16"}.get(main, main)
