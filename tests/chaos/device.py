"""One device of a history: an sshd of its own behind a relay, with everything that can happen to it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

from tests import disks
from tests.chaos.board import Board
from tests.chaos.device_logs import Finished, LogKeeper, finished_in, read_records
from tests.chaos.witness import METRIC, Sighting, read_sightings
from tests.lab import Lab
from tests.servers import processes
from tests.servers.sshd import NO_STARTUP_FILES, SshServer
from tests.servers.tcp_relay import TcpRelay

PAGE_BYTES = 4096
DISK_BYTES = 16 << 20
NO_PRIVILEGE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
"""Even root's processes then heed permissions, so that a folder can be made read-only under them."""


class ChaosDevice:
    """A device in `directory`; `small_disk` puts its state on a disk of its own, which needs root."""

    def __init__(self, name: str, directory: Path, stack: ExitStack, *, small_disk: bool) -> None:
        self.name = name
        disk = directory / "disk"
        disk.mkdir(parents=True)
        if small_disk:
            stack.enter_context(disks.mounted(disk, DISK_BYTES))
        self.state_dir = disk / "state"
        self.witness = directory / "witness"
        self._filler = disk / "filler"
        self._temporary = directory / "tmp"
        self._temporary.mkdir()
        self.board = Board(directory / "board")
        prefix = NO_PRIVILEGE if os.geteuid() == 0 and shutil.which("setpriv") else ()
        environment = {**NO_STARTUP_FILES, "TMPDIR": str(self._temporary)}
        self.server = stack.enter_context(SshServer(directory / "sshd", environment=environment, prefix=prefix))
        self.relay = stack.enter_context(TcpRelay(self.server.host, self.server.port))
        self._modes: dict[Path, int] = {}
        stack.callback(self.writable)
        self.keeper = LogKeeper(self.state_dir, disk / "kept")
        stack.callback(self.keeper.close)

    def declare(self, lab: Lab) -> None:
        """Put the device into a lab's inventory, reached through its relay, and its key on record."""
        lab.trust(self.server, self.relay.host, self.relay.port)
        lab.add_ssh(
            self.name,
            self.server,
            host=self.relay.host,
            port=self.relay.port,
            state_dir=str(self.state_dir),
            python=str(self.board.python),
        )

    def runner(self) -> int | None:
        """Return the process number of the runner that lives, if one does."""
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

    def writable(self) -> None:
        """End the read-only state."""
        for path, mode in self._modes.items():
            with suppress(FileNotFoundError):
                path.chmod(mode)
        self._modes = {}

    def sightings(self) -> list[Sighting]:
        """Return every trial process that ever ran here."""
        return read_sightings(self.witness, self.name)

    def finished(self) -> list[Finished]:
        """Return every record of a trial's end that was ever written here."""
        logs = [read_records(path.read_bytes()) for path in self.keeper.logs()]
        return [found for records in logs for found in finished_in(records, self.name, METRIC)]

    def log_size(self) -> int:
        """Return how long the present run's log is."""
        return sum(path.stat().st_size for path in self.keeper.logs())

    def left_running(self) -> list[str]:
        """Return what works for nobody any more: commands of sessions, and trials."""
        left = set(self.server.commands()) | {seen.pid for seen in self.sightings() if _is_trial(seen.pid)}
        return [f"{self.name}: process {pid} {_words(pid)}" for pid in sorted(left) if _words(pid)]

    def left_on_disk(self) -> list[str]:
        """Return what is still there of runs: nothing, once their logs are in the database as a whole."""
        runs = self.state_dir / "runs"
        return [f"{self.name}: {path.name}" for path in runs.iterdir()] if runs.exists() else []

    def is_locked(self) -> bool:
        """Whether a runner holds the device."""
        try:
            with (self.state_dir / "lock").open("r+b") as lock:
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
