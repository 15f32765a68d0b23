"""Bytecode on a full disk: what is not whole is not kept."""

import os
import subprocess
import sys

PROGRAM = """
import resource, sys
sys.path[:0] = sys.argv[1:3]
sys.dont_write_bytecode = True
from device_worker.bytecode import keep_whole_bytecode
keep_whole_bytecode()
sys.dont_write_bytecode = False
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
import module
print(module.VALUE)
"""
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def import_with_room_for(limit_bytes, folder):
    """Import a module where no file may be longer than so much: a write beyond it is cut short, as on a full disk."""
    argv = [sys.executable, "-c", PROGRAM, ROOT, str(folder), str(limit_bytes)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, timeout=30)
    assert done.stdout == b"7\n", done.stderr
    cache = folder / "__pycache__"
    return sorted(os.listdir(str(cache))) if cache.exists() else []


def test_bytecode_that_is_cut_short_is_not_kept_and_whole_bytecode_is(tmp_path):
    (tmp_path / "module.py").write_text("VALUE = 7\nTEXT = %r\n" % ("x" * 5000))
    assert import_with_room_for(1000, tmp_path) == []
    (kept,) = import_with_room_for(1 << 30, tmp_path)
    assert kept.endswith(".pyc")
    assert import_with_room_for(1000, tmp_path) == [kept]
