"""What cannot be injected, on this machine or at all, and why: it is told, not passed over."""

from __future__ import annotations

import importlib.util

from tests import disks
from tests.chaos.device import may_change_privileges
from tests.chaos.schedule import Fault

_NEVER = {
    "the upload of a runtime bundle": "programs have none, and a bundle travels and arrives as every blob "
    "does; that its unpacking can be interrupted is tested in tests/worker",
    "the kernel's own wall clock and boot id": "they belong to every program of the machine: the device's interpreter "
    "reads a clock and a boot id of its own instead, which are set by hours and changed",
    "the kernel's out-of-memory killer": "it would choose among all processes of the machine: the trial gets the "
    "SIGKILL that it would send",
    "what a power cut does to unwritten pages": "the page cache is the machine's: that records are on the disk before "
    "anything follows from them is tested in tests/worker, not here",
    "a controller's host that reboots": "seen from devices and database it is a controller that was killed",
}


def unavailable(kind: str) -> dict[Fault, str]:
    """Return the faults that cannot be injected here, with the reason."""
    reasons = {}
    if not disks.may_mount():
        reasons[Fault.DISK_FULL] = "only root can mount a small disk"
        if kind == "postgresql":
            reasons[Fault.DATABASE_FULL] = "only root can mount a small disk for the server"
    if not may_change_privileges():
        reasons[Fault.SURVIVOR] = "only root can be another user"
    if importlib.util.find_spec("ray") is None:
        reasons[Fault.GATEWAY_KILLED] = "Ray is not installed: pip install 'benchfleet[ray]'"
    return reasons


def not_injectable(kind: str) -> str:
    """Return what `--list` prints."""
    here = [f"{fault}: {reason}" for fault, reason in unavailable(kind).items()]
    never = [f"{what}: {reason}" for what, reason in _NEVER.items()]
    return "\n".join(["not on this machine:", *(here or ["nothing"]), "", "not anywhere:", *never]) + "\n"
