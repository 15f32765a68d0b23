"""A board that can be switched off and whose clock can be set: the interpreter that a device's worker runs in.

Neither the boot id of the kernel nor its wall clock can be changed by an ordinary user, and other programs need them.
So each device has a Python environment of its own, a link and three files, that starts with a module which lets the
board's boot id and clock be read from two files. All else in it is the real interpreter's.
"""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

_MODULE = """\
import builtins, time

_BOARD = {board!r}
_open, _time, _time_ns = builtins.open, time.time, time.time_ns

def _offset_s():
    with _open(_BOARD + "/clock_offset_s") as file:
        return int(file.read() or 0)

def _board_open(file, *arguments, **options):
    if file == "/proc/sys/kernel/random/boot_id":
        file = _BOARD + "/boot_id"
    return _open(file, *arguments, **options)

builtins.open = _board_open
time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + _offset_s() * 1_000_000_000
"""


class Board:
    """The environment of one device, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.python = directory / "bin" / "python"
        base = Path(getattr(sys, "_base_executable", sys.executable))
        packages = directory / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        packages.mkdir(parents=True)
        self.python.parent.mkdir()
        self.python.symlink_to(base)
        (directory / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
        (packages / "fake_board.py").write_text(_MODULE.format(board=str(directory)))
        (packages / "fake_board.pth").write_text("import fake_board\n")  # Debian has a sitecustomize of its own
        self.set_clock(0)
        self.boot()

    def boot(self) -> None:
        """Begin another boot."""
        _replace(self._directory / "boot_id", f"{uuid.uuid4()}\n")

    def set_clock(self, offset_s: int) -> None:
        """Let the wall clock be wrong by so much from now on."""
        _replace(self._directory / "clock_offset_s", str(offset_s))


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(path)
