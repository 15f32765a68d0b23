"""Compile the worker for devices whose Python has the bytecode of this one."""

from __future__ import annotations

import importlib.util
import marshal
import threading
import zipfile
import zlib
from functools import cache
from io import BytesIO
from typing import Any

MAGIC = importlib.util.MAGIC_NUMBER.hex()

_UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552
_NEVER_IMPORTED = ("__main__.py", "loader.py")
_compiling = threading.Lock()


def compiled_modules(archive: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """Return name and size of the bytecode of each module in a worker's archive, and the bytecode, compressed.

    An archive is compiled once in a process.
    """
    with _compiling:  # the sessions of a fleet ask at once
        return _compile(archive)


@cache
def _compile(archive: bytes) -> tuple[list[dict[str, Any]], bytes]:
    modules: list[dict[str, Any]] = []
    bytecode = bytearray()
    with zipfile.ZipFile(BytesIO(archive)) as members:
        for name in members.namelist():
            if not name.endswith(".py") or name.rpartition("/")[2] in _NEVER_IMPORTED:
                continue
            source = members.read(name)
            code = compile(source, name, "exec", dont_inherit=True, optimize=0)
            one = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
            one += marshal.dumps(code)
            modules.append({"name": name, "size": len(one)})
            bytecode += one
    return modules, zlib.compress(bytecode)
