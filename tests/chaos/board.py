"""A board that can be switched off and whose clock can be set: the interpreter that a device's worker runs in.

Neither the boot id of the kernel nor its wall clock can be changed by an ordinary user, and other programs need them.
So each device has a Python environment of its own, a link and three files, that starts with a module which lets the
board's boot id and clock be read from two files. All else in it is the real interpreter's. Runners lock the file that
stands for the boot id, as on any played machine: users and state folders that share a board share the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

INTERPRETER = Path(getattr(sys, "_base_executable", sys.executable))
"""The real interpreter: the venv's own would cost another start."""

_MODULE = """\
import builtins, os, time

_BOARD = {board!r}
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_open, _time, _time_ns = builtins.open, time.time, time.time_ns
_os_open, _os_stat = os.open, os.stat

def _offset_s():
    with _open(_BOARD + "/clock_offset_s") as file:
        return int(file.read() or 0)

def _on_board(real):
    def ask(file, *arguments, **options):
        return real(_BOARD + "/boot_id" if file == _BOOT_ID else file, *arguments, **options)
    return ask

builtins.open, os.open, os.stat = _on_board(_open), _on_board(_os_open), _on_board(_os_stat)
time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + _offset_s() * 1_000_000_000
"""


class Board:
    """The environment of one device, in `directory`; `base` is the real interpreter."""

    def __init__(self, directory: Path, base: Path = INTERPRETER) -> None:
        self._directory = directory
        self.python = directory / "bin" / "python"
        version = subprocess.run(
            [base, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        packages = directory / "lib" / f"python{version}" / "site-packages"
        packages.mkdir(parents=True)
        self.python.parent.mkdir()
        self.python.symlink_to(base)
        (directory / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
        (packages / "fake_board.py").write_text(_MODULE.format(board=str(directory)))
        (packages / "fake_board.pth").write_text("import fake_board\n")  # Debian has a sitecustomize of its own
        self.boot_id = directory / "boot_id"
        self.set_clock(0)
        self.boot()

    def add_sensor(self) -> Path:
        """Give the board a tree of files in the place of the kernel's, with a temperature, and return its root."""
        self._temperature.parent.mkdir(parents=True)
        (self._temperature.parent / "type").write_text("board\n")
        _replace(self._temperature, "40000\n")
        return self._directory / "tree"

    def hang_sensor(self) -> None:
        """Let whoever reads the temperature wait, as on a bus that hangs."""
        fifo = self._temperature.with_suffix(".fifo")
        os.mkfifo(fifo)
        fifo.rename(self._temperature)

    def free_sensor(self) -> None:
        """Let whoever waits for the temperature go on, and the sensor answer again."""
        with suppress(OSError):  # nobody waits
            os.close(os.open(self._temperature, os.O_WRONLY | os.O_NONBLOCK))
        waiting = self._temperature.with_suffix(".waiting")
        self._temperature.rename(waiting)
        _replace(self._temperature, "40000\n")
        with suppress(OSError):  # nor anybody who came in between
            os.close(os.open(waiting, os.O_WRONLY | os.O_NONBLOCK))

    @property
    def _temperature(self) -> Path:
        return self._directory / "tree" / "sys" / "class" / "thermal" / "thermal_zone0" / "temp"

    def boot(self) -> None:
        """Begin another boot."""
        _replace(self.boot_id, f"{uuid.uuid4()}\n")

    def set_clock(self, offset_s: int) -> None:
        """Let the wall clock be wrong by so much from now on."""
        _replace(self._directory / "clock_offset_s", str(offset_s))


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.rename(path)
