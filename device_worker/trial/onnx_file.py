"""Find in an .onnx file what a session does not tell: inputs of any number of dimensions, and weights elsewhere.

A session says the same of an input of any number of dimensions as of a single number. The file tells the two apart: one
has no shape, the other one without sizes. The numbers of fields are those of ONNX's public schema, written in Protocol
Buffers.
"""

from __future__ import annotations

import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Union

    Bytes = Union[bytes, mmap.mmap]

_GRAPH = 7
_WEIGHTS, _OUTSIDE = 5, 13
_KEY, _VALUE = 1, 2
_INPUTS, _OUTPUTS = 11, 12
_NAME, _TYPE = 1, 2
_TENSOR = 1
_SHAPE = 2
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_VARINT_BYTES_MAX = 10


def find_unranked(path: str) -> frozenset[str]:
    """Return the names of inputs and outputs without a shape. Another format, such as .ort, names none."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return frozenset(read_unranked(data))
    except (OSError, ValueError):  # mapping an empty file is a ValueError, too
        return frozenset()


def find_external(path: str) -> str | None:
    """Return the name of the first file beside an .onnx file that holds weights, or None."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return next(read_external(data), None)
    except (OSError, ValueError):
        return None


def read_external(data: Bytes) -> Iterator[str]:
    """Yield the files of weights outside of a model. Raise ValueError for anything but Protocol Buffers."""
    for weight in _within_graph(data, (_WEIGHTS,)):
        for number, *entry in _fields(data, *weight):
            key = _first(data, _KEY, *entry) if number == _OUTSIDE else None
            value = _first(data, _VALUE, *entry) if key is not None else None
            if key is not None and value is not None and data[key[0] : key[1]] == b"location":
                yield data[value[0] : value[1]].decode("utf-8", "replace")


def read_unranked(data: Bytes) -> Iterator[str]:
    """Yield the names of inputs and outputs without a shape. Raise ValueError for anything but Protocol Buffers."""
    for described in _within_graph(data, (_INPUTS, _OUTPUTS)):
        name = _first(data, _NAME, *described)
        tensor = _first(data, _TENSOR, *(_first(data, _TYPE, *described) or (0, 0)))
        # Sequences and maps have no tensor here.
        if name and tensor and _first(data, _SHAPE, *tensor) is None:
            yield data[name[0] : name[1]].decode("utf-8", "replace")


def _within_graph(data: Bytes, wanted: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each field of some numbers within the graph."""
    for number, *graph in _fields(data, 0, len(data)):
        if number == _GRAPH:
            for kind, begin, end in _fields(data, *graph):
                if kind in wanted:
                    yield begin, end


def _first(data: Bytes, wanted: int, begin: int, end: int) -> tuple[int, int] | None:
    """Return begin and end of the first field of a number."""
    return next(((first, last) for number, first, last in _fields(data, begin, end) if number == wanted), None)


def _fields(data: Bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of each field with bytes of its own."""
    place = begin
    while place < end:
        key, place = _varint(data, place, end)
        kind, size = key & 7, 0
        if kind == _BYTES:
            size, place = _varint(data, place, end)
        elif kind == _VARINT:
            _, place = _varint(data, place, end)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + size > end:
            raise ValueError("a field beyond the end")
        if kind == _BYTES:
            yield key >> 3, place, place + size
        place += size


def _varint(data: Bytes, place: int, end: int) -> tuple[int, int]:
    """Return a number, and the place behind the number."""
    value = 0
    for index, byte in enumerate(data[place : min(end, place + _VARINT_BYTES_MAX)]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise ValueError("a number without an end")
