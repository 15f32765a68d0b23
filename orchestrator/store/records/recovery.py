"""Read and write the rungs climbed for failing devices, and the quarantines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from orchestrator.domain.device import Device
from orchestrator.domain.recovery import Quarantine, RecoveryEvent, Rung
from orchestrator.store.records.devices import remember_device
from orchestrator.store.records.fencing import fenced_off
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text

REASON_MAX = 1_000


class RecoveryTable:
    """Play the role `RecoveryRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_rung(
        self,
        run: str,
        device: str,
        rung: Rung,
        reason: str,
        *,
        ago_s: float = 0.0,
        leases: Mapping[str, int] | None = None,
    ) -> int:
        """Record the beginning of a rung, and return the event's id. Raise LeaseLost if the writer's lease ended."""
        with self._database.write() as connection:
            # Checked in the transaction of the row: nobody may cut the power of a device which another run has by now.
            for lost in fenced_off(connection, {(run, device)}, leases).values():
                raise lost
            values = {
                "device_id": connection.execute(_DEVICE, {"name": device}).scalar_one(),
                "run_id": run,
                "rung": rung.value,
                # A reason may quote a device.
                "reason": clean_text(reason, REASON_MAX),
                "began_at": database_time(connection) - timedelta(seconds=ago_s),
            }
            return int(connection.execute(_NEW_EVENT, values).scalar_one())

    def end_rung(self, event: int, succeeded: bool, rung: Rung | None = None) -> None:
        """Record the end of a rung, and whether the device was back. `rung`, if given, replaces the recorded rung."""
        with self._database.write() as connection:
            values: dict[str, Any] = {"ended_at": database_time(connection), "succeeded": succeeded}
            if rung is not None:
                values["rung"] = rung.value
            connection.execute(update(t.recovery_event).where(t.recovery_event.c.id == event).values(values))

    def recovery_events(self, run: str) -> Sequence[RecoveryEvent]:
        """Return the rungs climbed in a run, in the order of beginning."""
        with self._database.read() as connection:
            rows = connection.execute(_EVENTS.where(t.recovery_event.c.run_id == run)).all()
        return [
            RecoveryEvent(row.device, Rung(row.rung), row.reason, row.began_at, row.ended_at, row.succeeded)
            for row in rows
        ]

    def quarantines(self, names: Sequence[str]) -> Mapping[str, Quarantine]:
        """Return by device the quarantines of the named devices."""
        with self._database.read() as connection:
            return _quarantines(connection, names)

    def quarantine(self, device: Device, reason: str, holder: str, run: str | None = None) -> Quarantine:
        """Put a device into quarantine. A device already in quarantine keeps the first reason."""
        with self._database.write() as connection:
            key = remember_device(connection, device)
            known = _quarantines(connection, [device.name])
            if device.name not in known:
                since = database_time(connection)
                values = {"device_id": key, "run_id": run, "reason": clean_text(reason, REASON_MAX)}
                connection.execute(insert(t.quarantine), {**values, "holder": holder, "since": since})
                known = _quarantines(connection, [device.name])
            return known[device.name]

    def readmit(self, name: str, holder: str) -> Quarantine | None:
        """End and return a device's quarantine. Return None if there was none."""
        with self._database.write() as connection:
            # Two people who readmit at once take turns, so that one quarantine is not ended twice.
            connection.execute(_DEVICE.with_for_update(), {"name": name})
            found = _quarantines(connection, [name]).get(name)
            if found is not None:
                ended = {"ended_at": database_time(connection), "ended_by": holder}
                device = select(t.device.c.id).where(t.device.c.name == name).scalar_subquery()
                open_row = (t.quarantine.c.device_id == device) & t.quarantine.c.ended_at.is_(None)
                connection.execute(update(t.quarantine).where(open_row).values(ended))
            return found


def _quarantines(connection: Connection, names: Sequence[str]) -> dict[str, Quarantine]:
    rows = connection.execute(_QUARANTINED.where(t.device.c.name.in_(names)))
    return {row.device: Quarantine(row.device, row.reason, row.holder, row.run_id, row.since) for row in rows}


_DEVICE: Select[tuple[int]] = select(t.device.c.id).where(t.device.c.name == bindparam("name"))
_NEW_EVENT = insert(t.recovery_event).returning(t.recovery_event.c.id)
_EVENTS = (
    select(t.recovery_event, t.device.c.name.label("device"))
    .join(t.device, t.device.c.id == t.recovery_event.c.device_id)
    .order_by(t.recovery_event.c.id)
)
_QUARANTINED = (
    select(t.quarantine, t.device.c.name.label("device"))
    .join(t.device, t.device.c.id == t.quarantine.c.device_id)
    .where(t.quarantine.c.ended_at.is_(None))
)
