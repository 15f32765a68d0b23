"""Say what to do about a device that somebody else has, or oneself."""

from __future__ import annotations

from orchestrator.domain.lease import Busy

QUEUE = "--wait queues for it; benchfleet devices list says who has what"


def way_out(busy: Busy, holder: str) -> str:
    """Return the hint for whoever is refused: `holder` is who asks."""
    if not busy.held:
        return QUEUE
    lease = busy.held[0]
    if not lease.is_reservation:
        return f"{QUEUE}; what is done there, benchfleet runs follow {lease.run} collects and gives back"
    release = f"benchfleet devices release {lease.device}"
    if lease.holder == holder:
        return f"it is yours: {release} gives it back; --wait queues for what follows it"
    use = f"runs may use it, as agreed with them, by --reservation {lease.id}"
    return f"--wait queues for it; {use}; or have {lease.holder} type {release}"
