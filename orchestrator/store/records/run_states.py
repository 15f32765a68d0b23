"""Record the states of a run's devices. A run ends with the last device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from orchestrator.domain.run import UNDER_WAY, DeviceRunState
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import controller_time


@dataclass(frozen=True, slots=True)
class NewState:
    """Hold a device's new state with the reason and the remedy of a bad state."""

    state: DeviceRunState
    error: str | None = None
    hint: str | None = None


def change_device_states(connection: Connection, changes: Mapping[int, NewState]) -> None:
    """Record new states by the ids of `run_device` rows.

    A run ends with its last device. A run begins again with any of its devices, as after a resume.
    """
    if not changes:
        return
    rows = [
        {"run_device": run_device, "to": new.state.value, "why": new.error, "then": new.hint}
        for run_device, new in sorted(changes.items())
    ]
    connection.execute(_SET_STATE, rows)
    # In the order of ids, because each run's row is locked below.
    for run in connection.execute(_RUNS_OF, {"run_devices": list(changes)}).scalars().all():
        _end_or_begin(connection, run)


def _end_or_begin(connection: Connection, run: str) -> None:
    finished_at = connection.execute(_FINISHED_AT, {"run": run}).scalar_one()
    states = connection.execute(_STATES, {"run": run}).scalars()
    under_way = any(state in UNDER_WAY for state in states)
    if under_way != (finished_at is None):
        end = None if under_way else controller_time(connection)
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
# Locked: of two devices that end at the same time, the second must see the first one's state.
_FINISHED_AT = select(t.run.c.finished_at).where(t.run.c.id == bindparam("run")).with_for_update()
_STATES = select(t.run_device.c.state).where(t.run_device.c.run_id == bindparam("run"))
