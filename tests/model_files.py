"""Make model files of any interface: a .tflite by flatbuffers itself, an .onnx and a saved_model.pb by a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Declared = tuple[str, tuple[int, ...], int]
"""A tensor: name, dimensions with -1 for a dynamic one, and the number of the type in the format."""

FLOAT32 = 0


def sum_of(inputs: Sequence[Declared], output: Declared) -> bytes:
    """Return a .tflite file that adds its inputs, two at a time."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    between = [(f"sum {index}", output[1], output[2]) for index in range(len(inputs) - 2)]
    tensors = [*inputs, *between, output]
    last = len(inputs)
    operators = [_add(builder, (0, 1) if at == 0 else (last + at - 1, at + 1), last + at) for at in range(last - 1)]
    graph = _table(
        builder,
        {
            0: _offsets(builder, [_tensor(builder, one) for one in tensors]),
            1: _numbers(builder, range(len(inputs))),
            2: _numbers(builder, [len(tensors) - 1]),
            3: _offsets(builder, operators),
        },
    )
    code = _table(builder, {})  # ADD, whose number is 0
    fields = {
        1: _offsets(builder, [code]),
        2: _offsets(builder, [graph]),
        3: builder.CreateString("made by a test"),
        4: _offsets(builder, [_table(builder, {})]),
    }
    builder.StartObject(5)
    builder.PrependUint32Slot(0, 3, 0)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    return bytes(builder.Output())


def onnx_of(
    inputs: Sequence[Declared], output: Declared, weights: Sequence[Declared] = (), outside: str | None = None
) -> bytes:
    """Return the outline of an .onnx file: inputs, output and weights, without an operator.

    `outside` is a further file that the weights lie in.
    """
    place = b"" if outside is None else _field(13, _field(1, b"location") + _field(2, outside.encode()))
    graph = b"".join(
        [
            *(_field(5, _weight(one) + place) for one in weights),
            *(_field(11, _value(one)) for one in (*inputs, *weights)),
            _field(12, _value(output)),
        ]
    )
    return bytes((1 << 3, 8)) + _field(7, graph)


def saved_model_of(
    inputs: Sequence[Declared], outputs: Sequence[Declared], signature: str = "serving_default", tag: str = "serve"
) -> bytes:
    """Return the outline of a saved_model.pb: one graph, and its signature beside the one that is nobody's."""

    def entry(key: str, value: bytes) -> bytes:
        return _field(1, key.encode()) + _field(2, value)

    named = b"".join(_field(1, entry(one[0], _tensor_info(one))) for one in inputs)
    named += b"".join(_field(2, entry(one[0], _tensor_info(one))) for one in outputs)
    nobodys = _field(5, entry("__saved_model_init_op", _field(2, entry("op", _tensor_info(("", (), 0))))))
    graph = _field(1, _field(4, tag.encode())) + _field(2, b"") + nobodys + _field(5, entry(signature, named))
    return _number(1, 1) + _field(2, graph)


def _tensor_info(declared: Declared) -> bytes:
    name, shape, dtype = declared
    sizes = b"".join(_field(2, _number(1, size % (1 << 64))) for size in shape)
    return _field(1, f"serving_{name}:0".encode()) + _number(2, dtype) + _field(3, sizes)


def _add(builder: Any, inputs: Sequence[int], output: int) -> int:
    options = _table(builder, {})
    vectors = {1: _numbers(builder, inputs), 2: _numbers(builder, [output]), 4: options}
    return _table(builder, vectors, {3: 11})  # 11: the options are those of ADD


def _tensor(builder: Any, declared: Declared) -> int:
    name, shape, dtype = declared
    fields = {0: _numbers(builder, [max(size, 1) for size in shape]), 3: builder.CreateString(name)}
    if -1 in shape:
        fields[7] = _numbers(builder, shape)
    return _table(builder, fields, {1: dtype})


def _table(builder: Any, offsets: dict[int, int], bytes_: dict[int, int] | None = None) -> int:
    builder.StartObject(8)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (bytes_ or {}).items():
        builder.PrependByteSlot(slot, value, 0)
    return int(builder.EndObject())


def _numbers(builder: Any, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependInt32(value)
    return int(builder.EndVector())


def _offsets(builder: Any, values: Sequence[int]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependUOffsetTRelative(value)
    return int(builder.EndVector())


def _value(declared: Declared) -> bytes:
    name, shape, dtype = declared
    sizes = b"".join(_field(1, _field(2, b"batch") if size < 0 else _number(1, size)) for size in shape)
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, dtype) + _field(2, sizes)))


def _weight(declared: Declared) -> bytes:
    name, shape, dtype = declared
    return b"".join(_number(1, size) for size in shape) + _number(2, dtype) + _field(8, name.encode()) + _field(9, b"w")


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    taken = bytearray()
    while value > 0x7F:
        taken.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*taken, value))
