"""Devices and their dated facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select

from orchestrator.domain.device import Device
from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.store import tables as t
from orchestrator.store.cleaning import Unfit, clean_json
from orchestrator.store.engine import Database
from orchestrator.store.upsert import upsert

_NEW_SNAPSHOT = insert(t.device_snapshot).returning(t.device_snapshot.c.id)


class DeviceTable:
    """Plays `DeviceRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_snapshots(
        self, taken: Sequence[tuple[Device, Facts]], taken_at: datetime
    ) -> Mapping[str, int | StoreError]:
        """Record what devices say of themselves; return, by device, the snapshot's id, or why it cannot be stored."""
        snapshots: dict[str, int | StoreError] = {}
        with self._database.write() as connection:
            for device, facts in sorted(taken, key=lambda pair: pair[0].name):
                try:
                    cleaned = Facts(clean_json(dict(facts.values)))
                except Unfit as error:
                    snapshots[device.name] = StoreError(f"{device.name}: its facts cannot be stored: {error}")
                    continue
                row = {
                    "device_id": remember_device(connection, device),
                    "taken_at": taken_at,
                    "identity_hash": cleaned.identity_hash,
                    "environment_hash": cleaned.environment_hash,
                    "facts": cleaned.values,
                }
                snapshots[device.name] = connection.execute(_NEW_SNAPSHOT, row).scalar_one()
        return snapshots

    def latest_facts(self, names: Sequence[str]) -> Mapping[str, tuple[Facts, datetime]]:
        """Return the newest snapshot of each device that has one."""
        age = func.row_number().over(
            partition_by=t.device_snapshot.c.device_id,
            order_by=(t.device_snapshot.c.taken_at.desc(), t.device_snapshot.c.id.desc()),
        )
        dated = (
            select(t.device.c.name, t.device_snapshot.c.facts, t.device_snapshot.c.taken_at, age.label("age"))
            .join(t.device, t.device.c.id == t.device_snapshot.c.device_id)
            .where(t.device.c.name.in_(names))
            .subquery()
        )
        with self._database.read() as connection:
            rows = connection.execute(select(dated).where(dated.c.age == 1)).all()
        return {row.name: (Facts(row.facts), row.taken_at) for row in rows}


def remember_device(connection: Connection, device: Device) -> int:
    """Return the id of a device, recording what the inventory says of it now."""
    return upsert(
        connection,
        t.device,
        {"name": device.name},
        {"transport": device.transport.value, "tags": dict(device.tags)},
        {"first_seen_at": datetime.now(UTC)},
    )
