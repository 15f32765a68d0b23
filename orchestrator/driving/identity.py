"""Name the controller to other controllers, and advise on a device of another holder."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass

from orchestrator.domain.lease import Busy, Lease

LEASE_S = 60.0
TEXT_MAX = 200
"""Largest length of a name in characters. Devices refuse longer names."""
QUEUE = "--wait queues for it; benchfleet devices list says who has what"


@dataclass(frozen=True, slots=True)
class ControllerIdentity:
    """Name the holder of a driver's leases, and how the driver takes leases.

    `holder` is the person, user@host, and `controller` the process. A lease lasts `lease_s` unless renewed. `waits`:
    queue for a device in use. `reservation`: the id of a reservation for the controller to use, of any holder.
    """

    holder: str
    controller: str
    lease_s: float = LEASE_S
    waits: bool = False
    reservation: int | None = None

    def advice(self, busy: Busy) -> str:
        """Return the hint for a device in use by another lease."""
        if not busy.held:
            return QUEUE
        lease = busy.held[0]
        if busy.turn:
            return (
                f"two names of one machine take turns: benchfleet runs resume {lease.run} goes on once that has ended"
            )
        return self._advice_on(lease) + _doubt(busy.device, lease.device)

    def _advice_on(self, lease: Lease) -> str:
        if not lease.is_reservation:
            return f"{QUEUE}; benchfleet runs follow {lease.run} collects its results and gives the device back"
        release = f"benchfleet devices release {lease.device}"
        if lease.holder == self.holder:
            return f"it is yours: {release} gives it back; --wait queues until it ends"
        use = f"runs may use it, as agreed with them, by --reservation {lease.id}"
        return f"--wait queues for it; {use}; or have {lease.holder} type {release}"


def _doubt(device: str, other: str) -> str:
    """Return the advice for two names of separate machines by now: the database knows the last facts of each."""
    return (
        "" if device == other else f"; if another board has the name {device} by now: benchfleet devices probe {device}"
    )


def this_controller(
    lease_s: float = LEASE_S, *, waits: bool = False, reservation: int | None = None
) -> ControllerIdentity:
    """Return the identity of the process."""
    holder = f"{_user()}@{socket.gethostname()}"
    # The name stands in other people's terminals and in the lock file of devices.
    shown = "".join(char if char.isprintable() else "?" for char in holder)[:TEXT_MAX]
    return ControllerIdentity(shown, f"pid {os.getpid()}", lease_s, waits, reservation)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
