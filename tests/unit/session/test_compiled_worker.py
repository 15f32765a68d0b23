"""The worker is compiled for devices whose Python has the bytecode of this one."""

from __future__ import annotations

import importlib.util
import marshal
import threading
import zlib
from types import CodeType

from orchestrator.blobs.worker import worker_archive
from orchestrator.session import compiled_worker
from orchestrator.session.compiled_worker import MAGIC, compiled_modules


def test_every_module_that_a_device_imports_is_compiled_as_its_source_says() -> None:
    archive, _digest = worker_archive()
    modules, packed = compiled_modules(archive)
    bytecode = zlib.decompress(packed)
    names = [module["name"] for module in modules]
    assert {"device_worker/main.py", "device_worker/serving/facts.py", "device_worker/trial/trial.py"} <= set(names)
    assert not [name for name in names if name.endswith(("__main__.py", "loader.py"))]
    begin = 0
    for module in modules:
        one = bytecode[begin : begin + module["size"]]
        begin += module["size"]
        assert one[:4].hex() == MAGIC == importlib.util.MAGIC_NUMBER.hex()
        assert one[4:8] == b"\x01\0\0\0"
        code = marshal.loads(one[16:])
        assert isinstance(code, CodeType)
        assert code.co_filename == module["name"]
    assert begin == len(bytecode)


def test_sessions_that_ask_at_once_compile_once() -> None:
    archive = worker_archive()[0] + b"\0"  # another archive than that of other tests
    before = compiled_worker._compile.cache_info().misses
    asking = [threading.Thread(target=compiled_modules, args=(archive,)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert compiled_worker._compile.cache_info().misses == before + 1
