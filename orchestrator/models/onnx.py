"""Read the inputs, outputs and weights' type of an .onnx file: Protocol Buffers, of which few fields are needed.

The numbers of fields are those of ONNX's public schema, which only ever adds fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.models.window import Malformed, Window

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
_WEIGHTS_DIMENSION, _WEIGHTS_DTYPE, _WEIGHTS_NAME = 1, 2, 8
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_FIELDS_MAX = 300_000
"""More fields than are met in any model on the way to inputs and outputs."""


def read_onnx(window: Window) -> Interface:
    """Return what the graph takes and gives. Raise Malformed for anything but an ONNX model."""
    graph = _Message(window, 0, window.size).message(_MODEL_GRAPH)
    if graph is None:
        raise Malformed("it has no graph, as an ONNX model has")
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    names: set[str] = set()
    weights: Counter[str] = Counter()
    for number, found in graph.fields():
        if number == _GRAPH_INPUTS:
            inputs.append(_described(_required(found)))
        elif number == _GRAPH_OUTPUTS:
            outputs.append(_described(_required(found)))
        elif number == _GRAPH_WEIGHTS:
            weight = _required(found)
            names.add(weight.text(_WEIGHTS_NAME))
            weights[_name_of(weight.number(_WEIGHTS_DTYPE))] += weight.size
    # Older files list the weights among the inputs too.
    taken = tuple(one for one in inputs if one.name not in names)
    if not taken and not outputs:
        raise Malformed("its graph has neither inputs nor outputs")
    return Interface(taken, tuple(outputs), _precision(weights))


class _Message:
    """Read the fields of one message."""

    def __init__(self, window: Window, begin: int, end: int) -> None:
        self._window = window
        self._begin = begin
        self._end = end

    @property
    def size(self) -> int:
        """Return the count of bytes."""
        return self._end - self._begin

    def fields(self) -> Iterator[tuple[int, _Message | int]]:
        """Yield the number and value of each field. Raise Malformed for a field beyond the message."""
        place = self._begin
        for _ in range(_FIELDS_MAX):
            if place == self._end:
                return
            key, place = self._varint(place)
            number, kind = key >> 3, key & 7
            if kind == _VARINT:
                value, place = self._varint(place)
                yield number, value
                continue
            count = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind)
            if kind == _BYTES:
                count, place = self._varint(place)
            if count is None or place + count > self._end:
                raise Malformed("it is not written as an ONNX model is (Protocol Buffers)")
            yield number, _Message(self._window, place, place + count)
            place += count
        raise Malformed(f"more than {_FIELDS_MAX} fields")

    def message(self, number: int) -> _Message | None:
        """Return the first field of a number, None without any."""
        return next((_required(found) for at, found in self.fields() if at == number), None)

    def number(self, number: int) -> int | None:
        """Return the first field of a number as a whole number, None without any."""
        found = next((found for at, found in self.fields() if at == number), None)
        return found if isinstance(found, int) else None

    def text(self, number: int) -> str:
        """Return a field as text, empty without the field."""
        found = self.message(number)
        return "" if found is None else self._window.text_at(found._begin, found.size)

    def _varint(self, place: int) -> tuple[int, int]:
        """Return a number, and the place behind the number."""
        value = 0
        taken = self._window.bytes_at(place, min(10, self._end - place))
        for index, byte in enumerate(taken):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, place + index + 1
        raise Malformed("it is not written as an ONNX model is (Protocol Buffers)")


def _required(found: _Message | int) -> _Message:
    if isinstance(found, int):
        raise Malformed("it is not written as an ONNX model is (Protocol Buffers)")
    return found


def _described(value: _Message) -> Tensor:
    kind = value.message(_VALUE_TYPE)
    tensor = None if kind is None else kind.message(_TYPE_TENSOR)
    if tensor is None:
        return Tensor(value.text(_VALUE_NAME), None, "other")
    shape = tensor.message(_TENSOR_SHAPE)
    dimensions = None if shape is None else tuple(_dimensions(shape))
    return Tensor(value.text(_VALUE_NAME), dimensions, _name_of(tensor.number(_TENSOR_DTYPE)))


def _dimensions(shape: _Message) -> Iterator[int | None]:
    for number, found in shape.fields():
        if number == _SHAPE_DIMENSION:
            size = _required(found).number(_DIMENSION_SIZE)
            # A negative number has 64 bits here. Some exporters write -1 where a dimension is dynamic.
            yield None if size is None or size >= 1 << 63 else size


def _name_of(dtype: int | None) -> str:
    return _DTYPES[dtype] if dtype is not None and dtype < len(_DTYPES) else f"type-{dtype}"


def _precision(weights: Counter[str]) -> str:
    if not weights:
        return "unknown"
    ((main, _),) = weights.most_common(1)
    return {"float32": "fp32", "float16": "fp16"}.get(main, main)
