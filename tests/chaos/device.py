"""One machine of a history: an sshd of its own behind a relay, with everything that can happen to it.

A machine can have several names in inventories, each with a state folder, of one user or of several.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import disks
from tests.chaos.board import INTERPRETER, Board
from tests.chaos.device_logs import LOOK_S, Finished, LogKeeper, finished_in, read_records
from tests.chaos.witness import METRIC, SURVIVOR_UID, Sighting, read_sightings
from tests.lab import Lab
from tests.servers import processes
from tests.servers.spoiled_python import SpoiledPython
from tests.servers.sshd import NO_STARTUP_FILES, SshServer
from tests.servers.tcp_relay import TcpRelay

PAGE_BYTES = 4096
DISK_BYTES = 16 << 20
NO_PRIVILEGE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
"""Even root's processes then heed permissions, so that a folder can be made read-only under them."""
NO_KILL = ("setpriv", "--bounding-set", "-kill", "--")
"""Root's processes then cannot end another user's, as an ordinary user's cannot end what runs under sudo."""


@dataclass(frozen=True, slots=True)
class Place:
    """A state folder of the machine, under the name that an inventory has for it."""

    name: str
    state_dir: Path
    python: Path
    keeper: LogKeeper


class ChaosDevice:
    """A device in `directory`; `small_disk` puts its state on a disk of its own, which needs root.

    `prefix` are the words of a program that the machine's sshd is started through, `base` is the machine's interpreter,
    `sensors` lets the machine have a sensor, and `can_flood` lets what its worker says be spoilt. New logs are looked
    for each `look_s`.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        stack: ExitStack,
        base: Path = INTERPRETER,
        *,
        small_disk: bool = False,
        sensors: bool = False,
        can_flood: bool = False,
        prefix: Sequence[str] = (),
        look_s: float = LOOK_S,
    ) -> None:
        self.name = name
        self._look_s = look_s
        self._directory = directory
        self._stack = stack
        disk = directory / "disk"
        disk.mkdir(parents=True)
        if small_disk:
            stack.enter_context(disks.mounted(disk, DISK_BYTES))
        self.witness = directory / "witness"
        self._filler = disk / "filler"
        self._temporary = directory / "tmp"
        self._temporary.mkdir()
        self.board = Board(directory / "board", base)
        prefix = (*prefix, *(NO_PRIVILEGE if may_change_privileges() else ()))
        environment = {**NO_STARTUP_FILES, "TMPDIR": str(self._temporary)}
        if sensors:
            environment["BENCHFLEET_SYSFS_ROOT"] = str(self.board.add_sensor())
        self.server = stack.enter_context(SshServer(directory / "sshd", environment=environment, prefix=prefix))
        self.relay = stack.enter_context(TcpRelay(self.server.host, self.server.port))
        self._modes: dict[Path, int] = {}
        stack.callback(self.writable)
        self.spoiled = SpoiledPython(directory / "spoiled-python", str(self.board.python)) if can_flood else None
        self._disk = disk
        self.places: list[Place] = []
        self.add_place(name)

    @property
    def state_dir(self) -> Path:
        """The state folder of the first name."""
        return self.places[0].state_dir

    @property
    def keeper(self) -> LogKeeper:
        """The keeper of the first name's logs."""
        return self.places[0].keeper

    def add_place(self, name: str, *, as_nobody: bool = False) -> Place:
        """Give the machine another name, with a state folder of its own, of another user if so told."""
        folder = "state" + "-too" * len(self.places)
        state_dir, python = self._disk / folder, self.spoiled.path if self.spoiled else self.board.python
        if as_nobody:
            python = self._python_of_nobody(state_dir)
        keeper = LogKeeper(state_dir, self._disk / f"kept-{folder}", self._look_s)
        self._stack.callback(keeper.close)
        self.places.append(Place(name, state_dir, python, keeper))
        return self.places[-1]

    def declare(self, lab: Lab, place: Place | None = None, **fields: Any) -> None:
        """Put a place into a lab's inventory, reached through the relay, and the machine's key on record."""
        place = place or self.places[0]
        lab.trust(self.server, self.relay.host, self.relay.port)
        lab.add_ssh(
            place.name,
            self.server,
            host=self.relay.host,
            port=self.relay.port,
            state_dir=str(place.state_dir),
            python=str(place.python),
            exclusive=True,  # the board is a machine of its own
            **fields,
        )

    def _python_of_nobody(self, state_dir: Path) -> Path:
        """Return an interpreter whose worker belongs to another user, who may write where this user has to."""
        self._disk.chmod(0o755)
        state_dir.mkdir(mode=0o700)
        os.chown(state_dir, SURVIVOR_UID, SURVIVOR_UID)
        self._temporary.chmod(0o1777)
        self.witness.touch()
        self.witness.chmod(0o666)
        python = self._directory / "python-of-nobody"
        become = f"setpriv --reuid={SURVIVOR_UID} --regid={SURVIVOR_UID} --clear-groups"
        python.write_text(f'#!/bin/sh\nexec {become} {self.board.python} "$@"\n')
        python.chmod(0o755)
        return python

    def runner(self) -> int | None:
        """Return the process number of the first name's runner that lives, if one does."""
        for file in self.state_dir.glob("runs/*/pid"):
            with suppress(OSError, ValueError):
                pid = int(json.loads(file.read_text())["pid"])
                if pid in self.server.commands():
                    return pid
        return None

    def trial(self) -> int | None:
        """Return the process number of the trial that runs, if one does."""
        left = set(self.server.commands())
        return next((seen.pid for seen in self.sightings() if not seen.ended and seen.pid in left), None)

    def kill(self, pid: int | None) -> bool:
        """Kill one process of the device; say whether it was there."""
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def cut_power(self) -> None:
        """Let every process and the temporary files be gone, in silence, and boot again; the disk stays."""
        self.relay.blackhole()
        self.server.freeze()
        self.server.stop()
        while left := self.server.commands():
            processes.kill(left)
        shutil.rmtree(self._temporary)
        self._temporary.mkdir()
        self.board.boot()
        self.server.start()
        self.relay.cut()
        self.relay.restore()

    def fill_disk(self, pages_left: int) -> None:
        """Leave so little room on the small disk."""
        disks.fill(self._filler, bytes_left=pages_left * PAGE_BYTES)

    def free_disk(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    def read_only(self) -> None:
        """Let nothing in the state folder be written or made any more, but through files that are open already."""
        for path in [self.state_dir, *self.state_dir.rglob("*")]:
            with suppress(OSError):
                if not path.is_symlink() and (path.is_dir() or path.is_file()):
                    self._modes[path] = path.stat().st_mode & 0o777
                    path.chmod(self._modes[path] & ~0o222)
        if not self._modes:
            self._modes[self.state_dir.parent] = 0o755
            self.state_dir.parent.chmod(0o555)

    def ask_for_survivors(self) -> None:
        """Let every trial that begins leave a process of another user behind."""
        (self._directory / "survive").touch()

    def end_survivors(self) -> None:
        """Let no trial leave such a process any more, and end those that are there."""
        (self._directory / "survive").unlink(missing_ok=True)
        told = self._directory / "survivors"
        for pid in map(int, told.read_text().split() if told.exists() else ()):
            if _is_trial(pid):
                self.kill(pid)

    def writable(self) -> None:
        """End the read-only state."""
        for path, mode in self._modes.items():
            with suppress(FileNotFoundError):
                path.chmod(mode)
        self._modes = {}

    def sightings(self) -> list[Sighting]:
        """Return every trial process that ever ran here."""
        return read_sightings(self.witness, self.name, {place.state_dir.name: place.name for place in self.places})

    def finished(self) -> list[Finished]:
        """Return every record of a trial's end that was ever written here."""
        return [
            found
            for place in self.places
            for path in place.keeper.logs()
            for found in finished_in(read_records(path.read_bytes()), place.name, METRIC)
        ]

    def log_size(self) -> int:
        """Return how long the present run's log is, under the first name."""
        return sum(path.stat().st_size for path in self.keeper.logs())

    def left_running(self) -> list[str]:
        """Return what works for nobody any more: commands of sessions, and trials."""
        left = set(self.server.commands()) | {seen.pid for seen in self.sightings() if _is_trial(seen.pid)}
        return [f"{self.name}: process {pid} {_words(pid)}" for pid in sorted(left) if _words(pid)]

    def left_on_disk(self) -> list[str]:
        """Return what is still there of runs: nothing, once their logs are in the database as a whole."""
        runs = [(place.name, place.state_dir / "runs") for place in self.places]
        return [f"{name}: {path.name}" for name, folder in runs if folder.exists() for path in folder.iterdir()]

    def locks_held(self) -> list[str]:
        """Return whose lock a runner holds: a state folder's, or the machine's."""
        locks = {place.name: place.state_dir / "lock" for place in self.places}
        locks[f"{self.name} as a machine"] = self.board.boot_id
        return [name for name, lock in locks.items() if _is_locked(lock)]


def may_change_privileges() -> bool:
    """Whether processes can be given fewer rights here, or another user."""
    return os.geteuid() == 0 and shutil.which("setpriv") is not None


def interpreter_for_nobody() -> Path | None:
    """Return an interpreter that another user can run; ours may lie in a home that keeps others out."""
    if not may_change_privileges():
        return None
    become = [*NO_PRIVILEGE, "setpriv", f"--reuid={SURVIVOR_UID}", f"--regid={SURVIVOR_UID}", "--clear-groups"]
    for python in (INTERPRETER, Path("/usr/bin/python3")):
        if not subprocess.run([*become, str(python), "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode:
            return python
    return None


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _is_trial(pid: int) -> bool:
    """Whether a number that a trial once had is a trial's still, and not another process's."""
    return b"BENCHFLEET_TRIAL=" in _read(pid, "environ")


def _words(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:120].strip()


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
