"""Give what a Ray process starts the priority of the raylet, which is that of the login that started the node."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orchestrator.domain.errors import DeviceUnfit

_RAYLET_VARIABLE = "RAY_RAYLET_PID"
_OOM_FILE = "oom_score_adj"


def take_login_priority() -> None:
    """Give the calling thread, and what the thread starts, the priority of the raylet. Do nothing outside of Ray.

    Raise DeviceUnfit where the user may not.
    """
    # Ray starts its processes at nice 15, and as the first to be killed when memory runs short. A trial there would
    # be slower than the same trial over SSH as soon as anything else runs.
    raylet = os.environ.get(_RAYLET_VARIABLE, "")
    if not raylet.isdigit():
        return
    try:
        wanted, own = os.getpriority(os.PRIO_PROCESS, int(raylet)), os.getpriority(os.PRIO_PROCESS, 0)
        if own > wanted:
            os.setpriority(os.PRIO_PROCESS, 0, wanted)
    except ProcessLookupError:
        # The node has died, and this process is about to.
        return
    except PermissionError:
        raise DeviceUnfit(
            f"Ray starts processes on this node at nice {own}, behind all others, and its user may not undo that",
            "start the node again with RAY_worker_niceness=0 in the environment of `ray start`",
        ) from None
    with suppress(OSError, ValueError):
        _take_oom_score(Path("/proc", raylet, _OOM_FILE), Path("/proc/self", _OOM_FILE))


def _take_oom_score(raylet: Path, own: Path) -> None:
    wanted = raylet.read_text()
    if int(own.read_text()) > int(wanted):
        own.write_text(wanted)
