"""Keep the compiled modules that a controller sends: a slow core takes seconds to compile them."""

from __future__ import annotations

import os
import zlib
from importlib.machinery import SourceFileLoader

from device_worker.bytecode import MAGIC_NUMBER, cache_from_source
from device_worker.protocol.errors import WorkerError
from device_worker.protocol.vocabulary import ErrorKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.protocol.fields import Fields

BYTES_MAX = 8 << 20
"""Many times what the worker's own modules take."""

_HEADER = MAGIC_NUMBER + b"\x01\0\0\0"  # by hash, unchecked: the controller cannot know the dates of the files here


def keep_compiled(home: str, message: Fields, payload: bytes) -> int:
    """Write the bytecode of modules beside their sources in `home`. Return the number of modules.

    A module that has bytecode keeps it. What does not fit on the disk is compiled later, as without this. Raise
    WorkerError (BAD_REQUEST) for a module that is not in `home` and for anything but whole bytecode of this Python.
    """
    sizes = [(module.text("name"), module.whole("size")) for module in message.sections("modules")]
    data = _unpack(payload)
    if sum(size for _name, size in sizes) != len(data):
        raise _refusal("the sizes of the modules are not those of the payload")
    sources = _sources_in(home)
    found: dict[str, bytes] = {}
    end = 0
    for name, size in sizes:
        begin, end = end, end + size
        if name not in sources or data[begin : begin + len(_HEADER)] != _HEADER:
            raise _refusal(f"no bytecode of this Python for a module of this worker: {name[:80]!r}")
        found[name] = data[begin:end]
    for name, content in found.items():  # behind all checks: a broken message leaves nothing
        source = os.path.join(home, name)
        path = cache_from_source(source)
        if not os.path.exists(path):
            SourceFileLoader("", source).set_data(path, content)
    return len(found)


def _unpack(payload: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(payload, BYTES_MAX)
    except zlib.error as error:
        raise _refusal(f"the payload is not compressed: {error}") from None
    if not unpacker.eof:  # its last bytes, a checksum of all, tell damage
        raise _refusal("the payload is cut short, or too long")
    return data


def _sources_in(home: str) -> set[str]:
    return {
        os.path.relpath(os.path.join(folder, name), home)
        for folder, _folders, names in os.walk(os.path.join(home, "device_worker"))
        for name in names
        if name.endswith(".py")
    }


def _refusal(problem: str) -> WorkerError:
    return WorkerError(ErrorKind.BAD_REQUEST, f"bytecode: {problem}")
