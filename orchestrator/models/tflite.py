"""Read the inputs, outputs and weights' type of a .tflite file: a flatbuffer, of which four kinds of tables are needed.

The numbers of fields are those of TensorFlow Lite's public schema, which only ever appends fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.models.window import Malformed, Window

_DTYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16",
)  # fmt: skip
_MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS = 1, 2, 4
_CODE_CUSTOM = 1
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS = 0, 1, 2
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_NAME, _TENSOR_SIGNATURE = 0, 1, 2, 3, 7
_BUFFER_DATA, _BUFFER_SIZE = 0, 2
_TABLES_MAX = 200_000
_NUMBERS_MAX = 1_000
"""More tensors, and more inputs or dimensions, than any model has. In a hostile file many may be one and the same."""


def read_tflite(window: Window) -> Interface:
    """Return what the first subgraph takes and gives. Raise Malformed for anything but a TensorFlow Lite model."""
    if window.size < 8 or window.bytes_at(4, 4) != b"TFL3":
        raise Malformed("it does not begin as a TensorFlow Lite model does (TFL3)")
    model = _Table(window, window.number_at(0, "I"))
    graphs = model.tables(_MODEL_SUBGRAPHS)
    if not graphs:
        raise Malformed("it has no subgraph")
    tensors = graphs[0].tables(_GRAPH_TENSORS)
    inputs = [_described(one) for one in _chosen(tensors, graphs[0].numbers(_GRAPH_INPUTS))]
    outputs = [_described(one) for one in _chosen(tensors, graphs[0].numbers(_GRAPH_OUTPUTS))]
    return Interface(tuple(inputs), tuple(outputs), _precision(tensors, model.tables(_MODEL_BUFFERS)))


def custom_operators(window: Window) -> frozenset[str]:
    """Return the names of a file's operators that are no part of TensorFlow Lite. Raise Malformed, as `read_tflite`."""
    if window.size < 8 or window.bytes_at(4, 4) != b"TFL3":
        raise Malformed("it does not begin as a TensorFlow Lite model does (TFL3)")
    codes = _Table(window, window.number_at(0, "I")).tables(_MODEL_CODES)
    return frozenset(name for name in (code.text(_CODE_CUSTOM) for code in codes) if name)


class _Table:
    """Read the fields of one table of a flatbuffer."""

    def __init__(self, window: Window, offset: int) -> None:
        self._window = window
        self._offset = offset
        self._fields = offset - window.number_at(offset, "i")
        self._fields_bytes = window.number_at(self._fields, "H")

    def number(self, field: int, form: str) -> int:
        """Return a number, 0 for an absent field."""
        place = self._place(field)
        return 0 if place is None else self._window.number_at(place, form)

    def text(self, field: int) -> str:
        """Return a text, empty for an absent field."""
        begin, count = self._vector(field)
        return self._window.text_at(begin, count)

    def numbers(self, field: int) -> list[int]:
        """Return a vector of numbers, empty for an absent field."""
        begin, count = self._entries(field, _NUMBERS_MAX)
        return [self._window.number_at(begin + 4 * index, "i") for index in range(count)]

    def tables(self, field: int) -> list[_Table]:
        """Return a vector of tables, empty for an absent field."""
        begin, count = self._entries(field, _TABLES_MAX)
        places = range(begin, begin + 4 * count, 4)
        return [_Table(self._window, place + self._window.number_at(place, "I")) for place in places]

    def length(self, field: int) -> int:
        """Return the count of entries of a vector, 0 for an absent field."""
        return self._vector(field)[1]

    def _entries(self, field: int, most: int) -> tuple[int, int]:
        begin, count = self._vector(field)
        if count > most:
            raise Malformed(f"a list of {count} entries")
        return begin, count

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        begin = place + self._window.number_at(place, "I")
        return begin + 4, self._window.number_at(begin, "I")

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._fields_bytes:
            return None
        distance = self._window.number_at(self._fields + entry, "H")
        return self._offset + distance if distance else None


def _chosen(tensors: Sequence[_Table], indices: Sequence[int]) -> list[_Table]:
    if any(not 0 <= index < len(tensors) for index in indices):
        raise Malformed("an input or output is no tensor of the file")
    return [tensors[index] for index in indices]


def _described(tensor: _Table) -> Tensor:
    # `shape` has 1 where a dimension is dynamic. Only the signature says so, with -1.
    shape = tensor.numbers(_TENSOR_SIGNATURE) or tensor.numbers(_TENSOR_SHAPE)
    return Tensor(tensor.text(_TENSOR_NAME), tuple(size if size >= 0 else None for size in shape), _dtype(tensor))


def _dtype(tensor: _Table) -> str:
    number = tensor.number(_TENSOR_TYPE, "b")
    return _DTYPES[number] if 0 <= number < len(_DTYPES) else f"type-{number}"


def _precision(tensors: Sequence[_Table], buffers: Sequence[_Table]) -> str:
    """Return the type with most bytes of weights. Integer weights among float32 tensors are `dynamic`."""
    # A buffer past 2 GiB lies behind the flatbuffer, and has a size instead of data.
    sizes = [one.length(_BUFFER_DATA) or one.number(_BUFFER_SIZE, "Q") for one in buffers]
    weights: Counter[str] = Counter()
    between: Counter[str] = Counter()
    for tensor in tensors:
        buffer = tensor.number(_TENSOR_BUFFER, "I")
        size = sizes[buffer] if buffer < len(sizes) else 0
        (weights if size else between)[_dtype(tensor)] += size or 1
    if not weights:
        return "unknown"
    ((main, _),) = weights.most_common(1)
    if main.startswith(("int", "uint")) and between["float32"] > between[main]:
        return "dynamic"
    return {"float32": "fp32", "float16": "fp16"}.get(main, main)
