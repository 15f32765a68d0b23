"""Read the signature of a SavedModel from its saved_model.pb: Protocol Buffers, of which few fields are needed.

The numbers of fields are those of TensorFlow's public schema, which only ever adds fields. Weights lie in other files,
in a form of their own, so that the precision is unknown here.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.interface import Interface, Tensor
from orchestrator.models.protobuf import Message, required
from orchestrator.models.window import Malformed, Window

SAVED_MODEL_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel."""
_DTYPES = (
    "undefined", "float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64", "bool",
    "qint8", "quint8", "qint32", "bfloat16", "qint16", "quint16", "uint16", "complex128", "float16", "resource",
    "variant", "uint32", "uint64",
)  # fmt: skip
_META_GRAPHS = 2
_GRAPH_INFO, _GRAPH_SIGNATURES = 1, 5
_INFO_TAGS = 4
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS = 1, 2
_TENSOR_DTYPE, _TENSOR_SHAPE = 2, 3
_SHAPE_DIMENSION, _SHAPE_UNKNOWN_RANK = 2, 3
_DIMENSION_SIZE = 1
_SERVING, _SERVING_SIGNATURE = "serve", "serving_default"
_NO_SIGNATURE = "__saved_model_init_op"
"""What TensorFlow keeps among the signatures beside those of people."""


def read_saved_model(window: Window) -> Interface:
    """Return what the signature for serving takes and gives. Raise Malformed for anything but a SavedModel."""
    saved = Message(window, 0, window.size)
    graphs = [required(found) for number, found in saved.fields() if number == _META_GRAPHS]
    if not graphs:
        raise Malformed("it has no graph, as a SavedModel has")
    # A SavedModel may hold one graph for training beside the one for serving.
    graph = next((one for one in graphs if _SERVING in _tags(one)), graphs[0])
    signatures = dict(_entries(graph, _GRAPH_SIGNATURES))
    signatures.pop(_NO_SIGNATURE, None)
    signature = signatures.get(_SERVING_SIGNATURE) or next(iter(signatures.values()), None)
    if signature is None:
        raise Malformed("it has no signature: nothing says what it takes")
    inputs = tuple(_described(name, one) for name, one in _entries(signature, _SIGNATURE_INPUTS))
    outputs = tuple(_described(name, one) for name, one in _entries(signature, _SIGNATURE_OUTPUTS))
    if not inputs and not outputs:
        raise Malformed("its signature has neither inputs nor outputs")
    # The entries of a map have no order: by name, so that the same model reads the same.
    return Interface(_by_name(inputs), _by_name(outputs), "unknown")


def _by_name(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(sorted(tensors, key=lambda one: one.name))


def _tags(graph: Message) -> set[str]:
    info = graph.message(_GRAPH_INFO)
    return set() if info is None else {required(found).whole_text() for at, found in info.fields() if at == _INFO_TAGS}


def _entries(message: Message, field: int) -> Iterator[tuple[str, Message]]:
    """Yield the entries of a map from names to messages."""
    for number, found in message.fields():
        if number == field:
            entry = required(found)
            value = entry.message(_ENTRY_VALUE)
            if value is not None:
                yield entry.text(_ENTRY_KEY), value


def _described(name: str, tensor: Message) -> Tensor:
    number = tensor.number(_TENSOR_DTYPE)
    dtype = _DTYPES[number] if number is not None and number < len(_DTYPES) else f"type-{number}"
    shape = tensor.message(_TENSOR_SHAPE)
    if shape is None or shape.number(_SHAPE_UNKNOWN_RANK):
        return Tensor(name, None, dtype)
    return Tensor(name, tuple(_dimensions(shape)), dtype)


def _dimensions(shape: Message) -> Iterator[int | None]:
    for number, found in shape.fields():
        if number == _SHAPE_DIMENSION:
            size = required(found).number(_DIMENSION_SIZE) or 0
            # A negative number has 64 bits here: -1 is a size that only a call fixes.
            yield None if size >= 1 << 63 else size
