"""Make events of the database's answers to requests for leases."""

from __future__ import annotations

from orchestrator.domain.errors import DeviceReserved
from orchestrator.domain.lease import Busy, Granted
from orchestrator.domain.recovery import Quarantine
from orchestrator.domain.run import Standing
from orchestrator.driving.identity import ControllerIdentity
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages.recovery import kept_out


def is_queued(answer: Granted | Busy) -> bool:
    """Say whether the device has a place in the queue."""
    return isinstance(answer, Busy) and answer.waiting is not None


def lease_event(
    name: str, answer: Granted | Busy, barred: Quarantine | None, known: Standing | None, identity: ControllerIdentity
) -> e.Event:
    """Return the event of an answer for a device. `known` may be None for a device with a place in the queue."""
    # A device in quarantine is refused at once: a queue would lead to nothing.
    if isinstance(answer, Busy) and answer.waiting is not None and barred is None:
        return e.LeaseQueued(f"place {answer.ahead + 1} in the queue: {answer.sentence}")
    assert known is not None
    if barred is not None:
        return e.LeaseRefused(kept_out(barred), known)
    if isinstance(answer, Granted):
        previous = tuple(f"{before.holder} ({before.controller})" for before in answer.taken_over)
        return e.LeaseGranted(answer.lease.exclusive, known, previous)
    return e.LeaseRefused(DeviceReserved(answer.refusal, identity.advice(answer), device=name), known)
