"""Record where devices stand; a run ends with its last device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, select, update

from orchestrator.domain.run import UNDER_WAY, DeviceRunState
from orchestrator.store import tables as t


@dataclass(frozen=True, slots=True)
class NewState:
    """Where a device stands now, and why."""

    state: DeviceRunState
    error: str | None = None
    hint: str | None = None


def change_device_states(connection: Connection, changes: Mapping[int, NewState]) -> None:
    """Record the states of run devices; a run ends when its last device does, and begins again when one does."""
    if not changes:
        return
    rows = [
        {"run_device": run_device, "to": new.state.value, "why": new.error, "then": new.hint}
        for run_device, new in sorted(changes.items())
    ]
    connection.execute(_SET_STATE, rows)
    for run in connection.execute(_RUNS_OF, {"run_devices": list(changes)}).scalars().all():
        _end_or_begin(connection, run)


def _end_or_begin(connection: Connection, run: str) -> None:
    finished_at = connection.execute(_FINISHED_AT, {"run": run}).scalar_one()
    states = connection.execute(_STATES, {"run": run}).scalars()
    under_way = any(state in UNDER_WAY for state in states)
    if under_way != (finished_at is None):
        end = None if under_way else datetime.now(UTC)
        connection.execute(update(t.run).where(t.run.c.id == run).values(finished_at=end))


_SET_STATE = (
    update(t.run_device)
    .where(t.run_device.c.id == bindparam("run_device"))
    .values(state=bindparam("to"), error=bindparam("why"), hint=bindparam("then"))
)
_RUNS_OF = (
    select(t.run_device.c.run_id)
    .distinct()
    .where(t.run_device.c.id.in_(bindparam("run_devices", expanding=True)))
    .order_by(t.run_device.c.run_id)
)
_FINISHED_AT = select(t.run.c.finished_at).where(t.run.c.id == bindparam("run")).with_for_update()
_STATES = select(t.run_device.c.state).where(t.run_device.c.run_id == bindparam("run"))
