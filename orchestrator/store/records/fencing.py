"""Refuse the writes of a controller for a device taken over by another controller.

The check runs in the transaction of the write. The lease's row stays locked until the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.lease import Lease
from orchestrator.domain.moments import noted
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time

LEASES = select(t.lease, t.device.c.name.label("device")).join(t.device, t.device.c.id == t.lease.c.device_id)


def as_lease(row: Row[Any]) -> Lease:
    """Return a row of LEASES as a domain value."""
    return Lease(
        id=row.id,
        device=row.device,
        holder=row.holder,
        controller=row.controller,
        run=row.run_id,
        reason=row.reason,
        exclusive=row.exclusive,
        requested_at=row.requested_at,
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        token=row.token,
        shares_machine=row.shares_machine,
        left_at=row.left_at,
    )


def fenced_off(
    connection: Connection, written: Collection[tuple[str, str]], leases: Mapping[str, int] | None
) -> dict[str, LeaseLost]:
    """Return by device the reason why the writer must not write.

    `written` are pairs of run and device. `leases` maps devices to the writer's leases. A writer with a lease is
    refused after the end of the lease. A writer without a lease is refused while another controller has a lease for the
    run. Without `leases` no writer is refused.
    """
    if leases is None:
        return {}
    # One statement for all devices. It may find pairs that were not asked for, and they do no harm.
    names = {"runs": sorted({run for run, _ in written}), "names": sorted({name for _, name in written})}
    held = {(row.run_id, row.device): row for row in connection.execute(_HELD, names)}
    lost: dict[str, LeaseLost] = {}
    for run, name in written:
        found, mine = held.get((run, name)), leases.get(name)
        # An expired lease still counts: as long as its row has not ended, no other controller can have written.
        if mine is not None and (found is None or found.id != mine):
            lost[name] = explain_loss(connection, mine, database_time(connection))
        elif mine is None and found is not None:
            lost[name] = _taken(name, as_lease(found), database_time(connection))
    return lost


def explain_loss(connection: Connection, lease: int, now: datetime) -> LeaseLost:
    """Return the error for an ended lease, with the present holder of the device and the time.

    The holder of a newer, ended lease is not named.
    """
    row = connection.execute(_BY_ID, {"lease": lease}).one()
    mine, ended_at = as_lease(row), row.ended_at
    newer = connection.execute(_NEWER, {"device": row.device_id, "token": mine.token or 0}).first()
    # The same run under a newer token: another controller has taken the run over.
    if newer is not None and newer.run_id == mine.run:
        return _taken(mine.device, as_lease(newer), now, is_over=newer.ended_at is not None)
    ended = f"the lease of run {mine.run} ended at {noted(ended_at, now)}"
    hint = f"benchfleet runs resume {mine.run}"
    if newer is None or newer.ended_at is not None:
        return LeaseLost(mine.device, ended, hint)
    return LeaseLost(mine.device, f"{ended}; the device is {as_lease(newer).sentence(now)}", f"later: {hint}")


def _taken(device: str, lease: Lease, now: datetime, *, is_over: bool = False) -> LeaseLost:
    fate = "it was given back there since" if is_over else "it goes on there"
    return LeaseLost(
        device,
        f"run {lease.run} was taken over by {lease.holder} ({lease.controller}) at {noted(lease.granted_at, now)}",
        f"{fate}: benchfleet runs show {lease.run}",
    )


# Locked for reading: writers of the same lease do not wait for each other, but a take-over waits for all of them.
_HELD = (
    LEASES.where(
        t.lease.c.run_id.in_(bindparam("runs", expanding=True)),
        t.device.c.name.in_(bindparam("names", expanding=True)),
        t.lease.c.granted_at.is_not(None),
        t.lease.c.ended_at.is_(None),
    )
    .order_by(t.lease.c.id)
    .with_for_update(of=t.lease, read=True, key_share=True)
)
_BY_ID = LEASES.where(t.lease.c.id == bindparam("lease"))
_NEWER = (
    LEASES.where(t.lease.c.device_id == bindparam("device"), t.lease.c.token > bindparam("token"))
    .order_by(t.lease.c.ended_at.is_(None).desc(), t.lease.c.token.desc())
    .limit(1)
)
