"""Read and write devices and dated facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from orchestrator.domain.device import Device
from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import controller_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import upsert
from orchestrator.store.values.hygiene import Unfit, clean_json

_NEW_SNAPSHOT = insert(t.device_snapshot).returning(t.device_snapshot.c.id)


class DeviceTable:
    """Play the role `DeviceRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save_snapshots(
        self, taken: Sequence[tuple[Device, Facts]], taken_at: datetime
    ) -> Mapping[str, int | StoreError]:
        """Record a snapshot of each device's facts. Return by device the snapshot's id, or an error."""
        snapshots: dict[str, int | StoreError] = {}
        with self._database.write() as connection:
            # In the order of names, like all writers of device rows: two of them never wait for each other.
            for device, facts in sorted(taken, key=lambda pair: pair[0].name):
                try:
                    cleaned = Facts(clean_json(dict(facts.values)))
                except Unfit as error:  # costs this device alone
                    snapshots[device.name] = StoreError(f"{device.name}: its facts cannot be stored: {error}")
                    continue
                row = {
                    # Also where the facts name no machine: the one before may be another device's by now.
                    "device_id": remember_device(connection, device, {"machine": cleaned.machine}),
                    "taken_at": taken_at,
                    "identity_hash": cleaned.identity_hash,
                    "environment_hash": cleaned.environment_hash,
                    "facts": cleaned.values,
                }
                snapshots[device.name] = connection.execute(_NEW_SNAPSHOT, row).scalar_one()
        return snapshots

    def latest_facts(self, names: Sequence[str]) -> Mapping[str, tuple[Facts, datetime]]:
        """Return the newest facts of each named device with the date."""
        age = func.row_number().over(
            partition_by=t.device_snapshot.c.device_id,
            # The id decides among snapshots of the same moment.
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


def remember_device(connection: Connection, device: Device, said: Mapping[str, str | None] | None = None) -> int:
    """Record the present declaration of a device, and the facts `said` by the device. Return the id."""
    return upsert(
        connection,
        t.device,
        {"name": device.name},
        {"transport": device.transport.value, "tags": dict(device.tags), **(said or {})},
        {"first_seen_at": controller_time(connection)},
    )
