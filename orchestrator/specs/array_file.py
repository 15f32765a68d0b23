"""Read shape and type of an array in a file of numpy's, without the numbers. Numpy itself takes too long to import.

Sources: numpy's NEP 1 (the format .npy), and PKWARE's APPNOTE for the archive .npz.
"""

from __future__ import annotations

import ast
import lzma
import math
import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from io import BufferedReader
from typing import IO

BYTES_MAX = 256 << 20
"""The most bytes of a file, and of an array in it: a device's trial holds the array in memory."""

_MAGIC = b"\x93NUMPY"
_HEADER_BYTES_MAX = 10_000  # numpy's own bound: literals of a longer header may crash the parser
_DIMENSIONS_MAX = 32
_ARRAYS_MAX = 1_000
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_DIRECTORY_BYTES_MAX = 1 << 20
_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE, _ZIP64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_TYPE = re.compile(r"[<>|=]?([bfiuSU])([0-9]{1,9})")
_KINDS = {"f": "float", "i": "int", "u": "uint"}
_WIDTHS = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8)}
TEXT = "string"


class BadArrayFile(ValueError):
    """A file holds no array that a model can be fed with. The message says why."""


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """Hold an array's shape, and the type in the words of model.yaml."""

    shape: tuple[int, ...]
    dtype: str


def read_header(file: BufferedReader, name: str | None) -> ArrayHeader:
    """Return the header of a file's array. Raise BadArrayFile for another file.

    Of several arrays in an archive `name` says which one. None is the only one.
    """
    size = os.fstat(file.fileno()).st_size
    if size > BYTES_MAX:
        raise BadArrayFile(f"the file has {size} bytes, of which {BYTES_MAX} are fed")
    start = file.read(len(_MAGIC))
    file.seek(0)
    if start.startswith(b"PK"):
        return _of_archive(file, size, name)
    return _of_array(file, size)


def _of_archive(file: BufferedReader, size: int, name: str | None) -> ArrayHeader:
    _refuse_directory(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            member = _member(archive, name)
            if member.file_size > BYTES_MAX:
                raise BadArrayFile(f"the array has {member.file_size} bytes, of which {BYTES_MAX} are fed")
            with archive.open(member) as stream:
                return _of_array(stream, member.file_size)
    except (*_BROKEN, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, BadArrayFile):
            raise
        raise BadArrayFile(f"the archive is damaged: {error}") from None


def _refuse_directory(file: BufferedReader, size: int) -> None:
    """Raise BadArrayFile for an archive with a longer list of files than one of arrays has: `zipfile` reads all."""
    tail_bytes = min(size, _ZIP64_LOCATOR_BYTES + _END.size)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    file.seek(0)
    end = tail[-_END.size :]
    if len(end) < _END.size or not end.startswith(_END_SIGNATURE) or tail.startswith(_ZIP64_SIGNATURE):
        raise BadArrayFile("the archive is not as numpy writes one")
    directory_bytes = _END.unpack(end)[5]
    if directory_bytes > _DIRECTORY_BYTES_MAX:
        raise BadArrayFile("the archive has too many files for one of arrays")


def _member(archive: zipfile.ZipFile, name: str | None) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if one.filename.endswith(".npy")]
    if len(members) > _ARRAYS_MAX:
        raise BadArrayFile(f"the archive has more than {_ARRAYS_MAX} arrays")
    named = [one for one in members if one.filename == f"{name}.npy"]
    if len(named) == 1 or len(members) == 1:
        return (named or members)[0]
    has = ", ".join(repr(one.filename.removesuffix(".npy")[:80]) for one in members[:10]) or "no array"
    if name is None:
        raise BadArrayFile(f"the archive has {has}, where one array is wanted: name the inputs under inputs")
    raise BadArrayFile(f"the archive has {has}, and no array {name!r}")


def _of_array(stream: IO[bytes], size: int) -> ArrayHeader:
    start = stream.read(8)
    if not start.startswith(_MAGIC) or len(start) < 8:
        raise BadArrayFile("neither an .npy nor an .npz file (numpy.save, numpy.savez)")
    form = "<H" if start[6] == 1 else "<L"
    length_bytes = struct.calcsize(form)
    counted = stream.read(length_bytes)
    length = struct.unpack(form, counted)[0] if len(counted) == length_bytes else 0
    if start[6] not in (1, 2, 3) or not 0 < length <= _HEADER_BYTES_MAX:
        raise BadArrayFile("the header is none of numpy's")
    header = stream.read(length)
    found, item_bytes = _parse(header.decode("utf-8", "replace"))
    expected = len(start) + length_bytes + length + item_bytes * math.prod(found.shape)
    if expected != size:
        raise BadArrayFile(f"the array of {list(found.shape)} takes {expected} bytes, and the file has {size}")
    return found


def _parse(header: str) -> tuple[ArrayHeader, int]:
    """Return the array and the bytes of one value."""
    try:
        said = ast.literal_eval(header.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise BadArrayFile("the header is none of numpy's") from None
    shape = said.get("shape") if isinstance(said, dict) else None
    described = said.get("descr") if isinstance(said, dict) else None
    if not isinstance(shape, tuple) or len(shape) > _DIMENSIONS_MAX or not all(_is_size(size) for size in shape):
        raise BadArrayFile("the header has no shape")
    if not all(shape):
        raise BadArrayFile("the array is empty")
    dtype, item_bytes = _type(described)
    return ArrayHeader(shape, dtype), item_bytes


def _is_size(size: object) -> bool:
    return type(size) is int and 0 <= size <= BYTES_MAX


def _type(described: object) -> tuple[str, int]:
    found = _TYPE.fullmatch(described) if isinstance(described, str) else None
    if found is None:
        raise BadArrayFile(f"the array is of {str(described)[:80]!r}, and inputs are numbers, truth values or text")
    kind, width = found[1], int(found[2])
    if kind in "SU":
        if not width:
            raise BadArrayFile("the array has text without a character")
        return TEXT, width * (4 if kind == "U" else 1)
    if kind == "b" and width == 1:
        return "bool", 1
    if width not in _WIDTHS.get(kind, ()):
        raise BadArrayFile(f"the array is of {described!r}, and inputs are numbers of up to 64 bits")
    return f"{_KINDS[kind]}{8 * width}", width
