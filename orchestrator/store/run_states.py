"""Record where a device stands; a run ends with its last device."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, select, update

from orchestrator.domain.run import UNDER_WAY, DeviceRunState
from orchestrator.store import tables as t


def change_device_state(
    connection: Connection, run_device: int, state: DeviceRunState, error: str | None = None, hint: str | None = None
) -> None:
    """Record a device's state; the run ends when its last device does, and begins again when one does."""
    run = connection.execute(
        update(t.run_device)
        .where(t.run_device.c.id == run_device)
        .values(state=state.value, error=error, hint=hint)
        .returning(t.run_device.c.run_id)
    ).scalar_one()
    finished_at = connection.execute(
        select(t.run.c.finished_at).where(t.run.c.id == run).with_for_update()
    ).scalar_one()
    states = connection.execute(select(t.run_device.c.state).where(t.run_device.c.run_id == run)).scalars()
    under_way = any(other in UNDER_WAY for other in states)
    if under_way != (finished_at is None):
        end = None if under_way else datetime.now(UTC)
        connection.execute(update(t.run).where(t.run.c.id == run).values(finished_at=end))
