"""Leases of devices: granted, queued for, renewed, ended; each in one transaction, by the database's own clock.

Whoever claims a device locks its row first, then the leases of all devices concerned in the order of their ids; so two
controllers never both find it free, and never wait for each other in a circle.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, collate, insert, select, update

from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.lease import Busy, Claim, Granted, Holding, Judgement, Lease, judge
from orchestrator.store import tables as t
from orchestrator.store.database_clock import database_time
from orchestrator.store.devices import remember_device
from orchestrator.store.engine import Database
from orchestrator.store.fencing import LEASES, as_lease, explain_loss
from orchestrator.store.upsert import upsert


class LeaseTable:
    """Plays `Leases`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim_leases(
        self, devices: Sequence[Device], claim: Claim, waiting: Mapping[str, int] | None = None
    ) -> Mapping[str, Granted | Busy]:
        """Claim devices, each for itself; `waiting` are the places in their queues that the claim has already."""
        with self._database.write() as connection:
            return _Claiming(connection, claim, waiting or {}).claim(devices)

    def renew_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        """Let leases last so many seconds from now; return those that have ended, and who has the device instead."""
        with self._database.write() as connection:
            found = _lock_open(connection, leases)
            now = database_time(connection)
            if found:
                rows = [{"lease": lease, "to": now + timedelta(seconds=leases[lease])} for lease in found]
                connection.execute(_SET_EXPIRY, rows)
            return [explain_loss(connection, lease, now) for lease in sorted(leases.keys() - set(found))]

    def end_leases(self, leases: Sequence[int]) -> None:
        """Give leases back, or places in a queue; those that have ended already are left alone."""
        with self._database.write() as connection:
            found = _lock_open(connection, leases)
            if found:
                connection.execute(_END, {"ids": found, "now": database_time(connection)})

    def holdings(self, names: Sequence[str]) -> Mapping[str, Holding]:
        """Return who has each device, and how many wait for it; devices that nobody has or wants are left out."""
        of_devices = LEASES.where(t.device.c.name.in_(names), t.lease.c.ended_at.is_(None)).order_by(t.lease.c.id)
        with self._database.read() as connection:
            now = database_time(connection)
            rows = [as_lease(row) for row in connection.execute(of_devices)]
        found: dict[str, list[Lease]] = {}
        for row in rows:
            if row.expires_at > now:
                found.setdefault(row.device, []).append(row)
        return {
            name: Holding(
                tuple(row for row in live if row.granted_at and row.exclusive),
                sum(row.granted_at is None for row in live),
            )
            for name, live in found.items()
        }

    def unreleased(self, run: str) -> frozenset[str]:
        """Return the devices that a controller of the run has neither given back nor lost, expired leases too."""
        held = LEASES.where(t.lease.c.run_id == run, t.lease.c.ended_at.is_(None), t.lease.c.granted_at.is_not(None))
        with self._database.read() as connection:
            return frozenset(as_lease(row).device for row in connection.execute(held))

    def database_id(self) -> str:
        """Return what devices know this database by; made at the first call."""
        with self._database.read() as connection:
            known = connection.execute(_IDENTITY).scalar()
        if known is None:
            with self._database.write() as connection:
                upsert(connection, t.database_identity, {"id": 1}, {}, {"uuid": str(uuid.uuid4())})
                known = connection.execute(_IDENTITY).scalar_one()
        return str(known)


class _Claiming:
    """One use: `claim` within a transaction."""

    def __init__(self, connection: Connection, claim: Claim, waiting: Mapping[str, int]) -> None:
        self._connection = connection
        self._claim = claim
        self._waiting = waiting

    def claim(self, devices: Sequence[Device]) -> dict[str, Granted | Busy]:
        known = self._lock(devices)
        rows: dict[str, list[Lease]] = {device.name: [] for device in devices}
        ids = [device.id for device in known.values()]
        for row in self._connection.execute(_OPEN_OF_DEVICES, {"devices": ids}):
            lease = as_lease(row)
            rows[lease.device].append(lease)
        now = database_time(self._connection)
        own = {name: self._place(name, rows[name]) for name in rows}
        judged = {name: judge(rows[name], self._claim, own[name], now) for name in rows}
        ended = {row.id for one in judged.values() for row in (*one.expired, *(one.replaced if one.granted else ()))}
        if ended:
            self._connection.execute(_END, {"ids": sorted(ended), "now": now})
        tokens = {name: known[name].lease_token + 1 for name, one in judged.items() if one.granted}
        if tokens:
            given = [{"device": known[name].id, "to": token} for name, token in tokens.items()]
            self._connection.execute(_SET_TOKEN, given)
        values = {
            name: self._values(name, one, known[name].id, tokens.get(name), now)
            for name, one in judged.items()
            if one.granted or self._claim.queues
        }
        leases = self._write(values, own)
        return {name: self._answer(judged[name], leases.get(name), now) for name in judged}

    def _lock(self, devices: Sequence[Device]) -> dict[str, Any]:
        names = sorted(device.name for device in devices)
        found = {row.name: row for row in self._connection.execute(_lock_devices(self._connection), {"names": names})}
        unknown = [device for device in sorted(devices, key=lambda one: one.name) if device.name not in found]
        for device in unknown:
            remember_device(self._connection, device)
        if unknown:
            found = {
                row.name: row for row in self._connection.execute(_lock_devices(self._connection), {"names": names})
            }
        return found

    def _place(self, name: str, rows: Sequence[Lease]) -> int | None:
        """Return the claim's place in the queue, unless somebody has found it expired and ended it."""
        place = self._waiting.get(name)
        return place if any(row.id == place for row in rows) else None

    def _values(self, name: str, judged: Judgement, device: int, token: int | None, now: datetime) -> dict[str, Any]:
        claim = self._claim
        lasts_s = claim.lasts_s if judged.granted else claim.place_s
        return {
            "device": name,
            "device_id": device,
            "holder": claim.holder,
            "controller": claim.controller,
            "run_id": claim.run,
            "reason": claim.reason,
            "exclusive": judged.exclusive or not judged.granted,
            "requested_at": now,
            "granted_at": now if judged.granted else None,
            "expires_at": now + timedelta(seconds=lasts_s),
            "token": token,
        }

    def _write(self, values: Mapping[str, dict[str, Any]], own: Mapping[str, int | None]) -> dict[str, Lease]:
        """Insert what is new, bring places in queues up to date, and return the leases as they are now."""
        new = [name for name in values if own[name] is None]
        rows = [{key: value for key, value in values[name].items() if key != "device"} for name in new]
        ids = dict(zip(new, self._connection.execute(_INSERT, rows).scalars(), strict=True)) if rows else {}
        known = {name: place for name, place in own.items() if place is not None and name in values}
        if known:
            changed = ("exclusive", "granted_at", "expires_at", "token")
            self._connection.execute(
                _UPDATE,
                [
                    {"lease": place, **{f"to_{key}": values[name][key] for key in changed}}
                    for name, place in known.items()
                ],
            )
        return {name: _lease(ids.get(name) or known[name], values[name]) for name in values}

    @staticmethod
    def _answer(judged: Judgement, lease: Lease | None, now: datetime) -> Granted | Busy:
        if judged.granted and lease is not None:
            return Granted(lease, judged.replaced)
        return Busy(judged.blockers, judged.ahead, lease.id if lease else None, now)


def _lease(key: int, values: Mapping[str, Any]) -> Lease:
    fields = {name: value for name, value in values.items() if name not in ("device_id", "run_id")}
    return Lease(id=key, run=values["run_id"], **fields)


def _lock_devices(connection: Connection) -> Select[Any]:
    return _LOCK_DEVICES[connection.dialect.name]


def _lock_open(connection: Connection, leases: Mapping[int, float] | Sequence[int]) -> list[int]:
    return list(connection.execute(_LOCK_OPEN, {"ids": sorted(leases)}).scalars())


_IDENTITY = select(t.database_identity.c.uuid)
_DEVICES = (
    select(t.device.c.id, t.device.c.name, t.device.c.lease_token)
    .where(t.device.c.name.in_(bindparam("names", expanding=True)))
    .with_for_update(key_share=True)
)
_LOCK_DEVICES = {
    "sqlite": _DEVICES.order_by(t.device.c.name),
    "postgresql": _DEVICES.order_by(collate(t.device.c.name, "C")),
}
"""In the order in which Python sorts names, as all writers take these rows; a server's own order is another."""

_OPEN_OF_DEVICES = (
    LEASES.where(t.lease.c.device_id.in_(bindparam("devices", expanding=True)), t.lease.c.ended_at.is_(None))
    .order_by(t.lease.c.id)
    .with_for_update(of=t.lease)
)
_LOCK_OPEN = (
    select(t.lease.c.id)
    .where(t.lease.c.id.in_(bindparam("ids", expanding=True)), t.lease.c.ended_at.is_(None))
    .order_by(t.lease.c.id)
    .with_for_update()
)
_END = update(t.lease).where(t.lease.c.id.in_(bindparam("ids", expanding=True))).values(ended_at=bindparam("now"))
_SET_EXPIRY = update(t.lease).where(t.lease.c.id == bindparam("lease")).values(expires_at=bindparam("to"))
_SET_TOKEN = update(t.device).where(t.device.c.id == bindparam("device")).values(lease_token=bindparam("to"))
_INSERT = insert(t.lease).returning(t.lease.c.id, sort_by_parameter_order=True)
_UPDATE = (
    update(t.lease)
    .where(t.lease.c.id == bindparam("lease"))
    .values(
        exclusive=bindparam("to_exclusive"),
        granted_at=bindparam("to_granted_at"),
        expires_at=bindparam("to_expires_at"),
        token=bindparam("to_token"),
    )
)
