"""Set the frequency governor for a run, with the old one on record, and give the old one back.

The record is on the disk before the first governor changes. A runner that was killed leaves the record, and whoever
finds it without a live runner gives the old governors back: the next runner, or the next connection.
"""

from __future__ import annotations

import json
import os

from device_worker.sensing.readings import governor_files
from device_worker.state.event_log import sync_folder
from device_worker.state.file_lock import try_lock
from device_worker.system import system_files
from device_worker.system.process_identity import read_boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.state.state_dir import StateDir


class GovernorHold:
    """The governors of a device, held for a run. The caller holds the device lock, or no runner lives."""

    def __init__(self, state: StateDir) -> None:
        self._folder = state.path
        self._path = state.governor

    def set(self, governor: str) -> str | None:
        """Set the governor of all processors. Return why that failed, or None. What failed is undone."""
        paths = governor_files()
        before = {path: system_files.read_text(path) for path in paths}
        known = {path: word for path, word in before.items() if word is not None}
        if not known:
            return "the kernel lets no governor choose the clocks (no cpufreq)"
        self._record({"boot_id": read_boot_id(), "governors": known})
        try:
            for path in known:
                _write(path, governor)
        except OSError as error:
            self.undo()
            return f"{error.filename or 'the governor'}: {error.strerror}"
        return None

    def undo(self) -> dict[str, str]:
        """Give the recorded governors back, and return what was given back. Nothing is on record afterwards."""
        found = self._read()
        if found is None:
            return {}
        given = {}
        # A reboot has set every governor anew, and what stands there now is somebody's choice.
        if found.get("boot_id") == read_boot_id():
            governors = found.get("governors")
            for path, word in (governors if isinstance(governors, dict) else {}).items():
                try:
                    _write(path, word)
                    given[path] = word
                except OSError:  # a processor that was switched off since has no governor
                    continue
        os.unlink(self._path)
        sync_folder(self._folder)
        return given

    def _read(self) -> dict[str, object] | None:
        try:
            with open(self._path, "rb") as file:
                found = json.loads(file.read().decode("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:  # a person's edit
            return {}
        return found if isinstance(found, dict) else {}

    def _record(self, content: dict[str, object]) -> None:
        partial = self._path + ".partial"
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, json.dumps(content).encode("ascii"))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(partial, self._path)
        sync_folder(self._folder)


def undo_if_alone(state: StateDir) -> None:
    """Give back the governors of a runner that was killed. A live runner keeps what it has set."""
    if not os.path.exists(state.governor):
        return
    fd = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # The lock's content stays: it says who crashed.
        if try_lock(fd):
            GovernorHold(state).undo()
    finally:
        os.close(fd)


def _write(path: str, word: str) -> None:
    fd = os.open(system_files.resolve(path), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, word.encode("ascii", "replace"))
    finally:
        os.close(fd)
