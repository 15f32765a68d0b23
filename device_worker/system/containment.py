"""End every process of a trial, so that no process disturbs the next measurement.

A trial runs in a session of its own, and the process group is killed at the trial's end. Two options of prctl(2),
called through ctypes, cover the other cases: the runner becomes the parent of descendants outside the group
(PR_SET_CHILD_SUBREAPER), and a trial dies with the runner (PR_SET_PDEATHSIG). Where a Python has no ctypes, and after
the death of a runner, processes are found by their mark.
"""

from __future__ import annotations

import os

from device_worker.system import leftovers, trial_mark
from device_worker.system.libc import load_prctl
from device_worker.system.process_identity import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.system.survivors import Leftover

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Containment:
    """The runner's control over all descendants.

    `number` marks the processes of trials. `survivors` are the processes of a trial that could not be ended: nothing
    may be measured beside survivors.
    """

    def __init__(self, number: int) -> None:
        self.survivors: list[Leftover] = []
        self._number = number
        self._prctl = load_prctl()
        if self._prctl:
            self._prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def bind_self(self, parent: int) -> None:
        """Mark the calling process, a new child, and have the process killed when the parent dies.

        `parent` is the parent's number. A program of another user is not killed: setuid ends the agreement.
        """
        trial_mark.mark_self(self._number)
        if self._prctl:
            self._prctl(_PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:  # the parent has died before the prctl call, and sends no signal any more
            os._exit(1)

    def kill_group(self, leader: int) -> None:
        """Kill a process group. The leader must not have been reaped, since its number is free for others then."""
        try:
            os.killpg(leader, SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def end_trial(self) -> None:
        """Kill and reap every process of a trial. `survivors` are the processes that cannot be ended."""
        self.survivors = leftovers.end_all(self._find_processes)

    def _find_processes(self) -> set[int]:
        if not _reap_children() and self._prctl:  # no child is left, and every descendant of a trial becomes a child
            return set()
        # A program that reads a sensor for the runner has the runner's session. Every trial has a session of its own.
        own_session = os.getsid(0)
        found = {pid for pid in _find_descendants() if _session_of(pid) not in (None, own_session)}
        return found if self._prctl else found.union(trial_mark.find_orphans(self._number))


def _reap_children() -> bool:
    """Reap all children that have ended, and return True if other children are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _find_descendants() -> set[int]:
    """Return all children, reaped or not, and the living descendants of the children as far as /proc shows them."""
    # A child that cannot be killed keeps its own children, which are no orphans for the runner to get.
    families: dict[int | None, list[int]] = {}
    for pid in trial_mark.all_processes():
        families.setdefault(trial_mark.parent_of(pid), []).append(pid)
    found = {*families.get(os.getpid(), ()), *_children()}
    left = list(found)
    while left:
        younger = [pid for pid in families.get(left.pop(), ()) if not trial_mark.is_dead(pid)]
        found.update(younger)
        left += younger
    return found


def _children() -> list[int]:
    """Return the children that the kernel lists, hidden from /proc or not."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return []


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
