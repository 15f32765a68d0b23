"""Who wants devices, and what a store answers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from orchestrator.domain.device import Device
from orchestrator.domain.lease import Busy, Granted, LeaseRequest
from orchestrator.store.schema import tables
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    sample_device,
    sample_model,
    sample_sweep,
)

PI, NANO = sample_device("pi-03"), sample_device("nano-01")
MODEL, SWEEP = sample_model(), sample_sweep()
RUN, OTHER_RUN = "run-1", "run-2"
ANN = LeaseRequest("ann@ws1", "pid 100", RUN, None, 60.0)
BOB = LeaseRequest("bob@ws2", "pid 200", OTHER_RUN, None, 60.0)
RESERVATION = LeaseRequest("ann@ws1", "pid 101", None, "bisecting", 3600.0)


def granted(store: Store, claim: LeaseRequest, device: Device = PI, waiting: int | None = None) -> Granted:
    answer = store.leases.request_leases([device], claim, {} if waiting is None else {device.name: waiting})[
        device.name
    ]
    assert isinstance(answer, Granted), answer
    return answer


def busy(store: Store, claim: LeaseRequest, device: Device = PI, waiting: int | None = None) -> Busy:
    answer = store.leases.request_leases([device], claim, {} if waiting is None else {device.name: waiting})[
        device.name
    ]
    assert isinstance(answer, Busy), answer
    return answer


def place(store: Store, claim: LeaseRequest) -> int:
    waiting = busy(store, replace(claim, queues=True)).waiting
    assert waiting is not None
    return waiting


def open_leases(store: Store) -> Sequence[str]:
    with store.database.read() as connection:
        return (
            connection.execute(select(tables.lease.c.holder).where(tables.lease.c.ended_at.is_(None))).scalars().all()
        )
