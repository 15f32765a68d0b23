"""End the processes that ended trials have left. `survivors` describes the processes that cannot be ended."""

from __future__ import annotations

import time

from device_worker.system import trial_mark
from device_worker.system.process_identity import ProcessIdentity, read_boot_id, send_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable

    from device_worker.system.survivors import Leftover

MARKER_VARIABLE = "BENCHFLEET_RUNNER"
"""Names the runner in the environment of a trial. Older workers made no other mark."""

_DYING_S_MAX = 45.0
"""A process that syncs to a worn card or a network disk dies late. A start is answered within 60 s nevertheless."""

_SWEEP_S_MAX = 5.0
_FOREIGN_S_MAX = 1.0
_SWEEP_PAUSE_S = 0.005
_SWEEP_PAUSE_S_MAX = 0.1


def find_leftovers(state_dir: str, runner: ProcessIdentity | None) -> list[int]:
    """Return the processes left by the trials of a state folder. No runner of the folder may live.

    `runner` is the last runner, if known. Only the environment of our own processes can be read for the marker.
    """
    found = set(trial_mark.find_orphans(trial_mark.number_of(state_dir)))
    if runner is not None and runner.boot_id == read_boot_id():
        found.update(find_marked(runner.marker))
    return sorted(found)


def end_leftovers(state_dir: str, runner: ProcessIdentity | None) -> list[Leftover]:
    """End the processes left by the trials of a state folder, and return the survivors.

    The caller holds the device lock, so that no runner of the folder lives.
    """
    return end_all(lambda: find_leftovers(state_dir, runner))


def end_all(find: Callable[[], Iterable[int]], kill: Callable[[int], bool] | None = None) -> list[Leftover]:
    """Kill the found processes until none is found, and return the survivors.

    Killed processes have _DYING_S_MAX seconds, and _SWEEP_S_MAX beside processes beyond the reach of a signal. The
    latter alone have _FOREIGN_S_MAX: sudo ends a moment after its program. `kill` returns whether a signal was sent.
    """
    begin_s, pause_s = time.monotonic(), _SWEEP_PAUSE_S
    while True:
        found = list(find())  # again each time: a process may have forked before the kill reached it
        was_reached = [(kill or send_signal)(pid) for pid in found]
        waited_s = time.monotonic() - begin_s
        if not found:
            return []
        if waited_s >= _patience_s(was_reached):
            from device_worker.system.survivors import Leftover  # a process left behind is rare, and a start is not

            return [Leftover(pid) for pid in found]
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _SWEEP_PAUSE_S_MAX)


def outlast(find: Callable[[], Iterable[int]]) -> list[Leftover]:
    """Wait for the found processes to end, for at most _FOREIGN_S_MAX seconds, and return the others. Kill nothing."""
    return end_all(find, kill=lambda _pid: False)


def _patience_s(was_reached: list[bool]) -> float:
    if all(was_reached):
        return _DYING_S_MAX
    return _SWEEP_S_MAX if any(was_reached) else _FOREIGN_S_MAX


def find_marked(marker: str) -> list[int]:
    """Return the number of every process with a runner's marker in the environment."""
    wanted = f"{MARKER_VARIABLE}={marker}".encode()
    return [pid for pid in trial_mark.all_processes() if wanted in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
