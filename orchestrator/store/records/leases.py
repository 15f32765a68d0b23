"""Grant, queue, renew and end leases of devices, by the database's own clock. Every call is a single transaction.

A request locks the rows of its devices first, in the order of names. Then the request locks the leases of the same
devices, in the order of ids. Two controllers therefore never both find a device free, and never wait for each other.
`orchestrator.domain.lease.judge` decides on each device.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, collate, insert, or_, select, update

from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost
from orchestrator.domain.lease import Busy, Granted, Holding, Judgement, Lease, LeaseRequest, judge
from orchestrator.store.records.devices import remember_device
from orchestrator.store.records.fencing import LEASES, as_lease, explain_loss
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import upsert


class LeaseTable:
    """Play the role `Leases`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request_leases(
        self, devices: Sequence[Device], request: LeaseRequest, waiting: Mapping[str, int] | None = None
    ) -> Mapping[str, Granted | Busy]:
        """Ask for the lease of each device. `waiting` maps devices to places in the queue from an earlier answer."""
        with self._database.write() as connection:
            return _Decision(connection, request, devices, waiting or {}).decide()

    def confirm_leases(
        self, devices: Sequence[Device], request: LeaseRequest, held: Mapping[str, int]
    ) -> Mapping[str, Busy]:
        """Give up each lease behind another name of the machine. Return the answers for devices so given up."""
        names = [device.name for device in devices]
        with self._database.read() as connection:
            found = set(connection.execute(_IN_USE_BESIDE, {"names": names}).scalars())
        suspects = [device for device in devices if device.name in found and device.name in held]
        if not suspects:
            return {}
        with self._database.write() as connection:
            return _Decision(connection, request, suspects, {}).confirm(held)

    def renew_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        """Extend leases to the given seconds from now. Return an error for each ended lease."""
        return self._extend(leases, is_left=False)

    def leave_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        """Extend leases as `renew_leases` does, for the last time: the devices go on by themselves."""
        return self._extend(leases, is_left=True)

    def _extend(self, leases: Mapping[int, float], *, is_left: bool) -> Sequence[LeaseLost]:
        with self._database.write() as connection:
            found = _lock_open(connection, leases, _LOCK_OPEN_TO_EXTEND)
            now = database_time(connection)
            if found:
                left_at = now if is_left else None
                rows = [
                    {"lease": lease, "to": now + timedelta(seconds=leases[lease]), "left": left_at} for lease in found
                ]
                connection.execute(_SET_EXPIRY, rows)
            # Not found among the open leases: another controller's request has ended the lease.
            return [explain_loss(connection, lease, now) for lease in sorted(leases.keys() - set(found))]

    def end_leases(self, leases: Sequence[int]) -> None:
        """Give back leases or places in a queue, by id."""
        with self._database.write() as connection:
            found = _lock_open(connection, leases, _LOCK_OPEN_TO_END)
            if found:
                connection.execute(_END, {"ids": found, "now": database_time(connection)})

    def holdings(self, names: Sequence[str]) -> Mapping[str, Holding]:
        """Return by device the present leases, leases of other names of the machine, and the length of the queue."""
        with self._database.read() as connection:
            now = database_time(connection)
            known = connection.execute(_DEVICES, {"names": list(names)}).all()
            opened = connection.execute(_OPEN_OF_NAMES, {"names": [row.name for row in known]})
            # An expired row ends with the next request for the device. Until then the row says nothing.
            rows = [row for row in map(as_lease, opened) if row.expires_at > now]
        # A device whose machine is unknown is a machine of its own.
        machines = {row.name: (row.machine, "" if row.machine else row.name) for row in known}
        held: dict[tuple[str | None, str], list[Lease]] = {}
        for row in rows:
            if row.granted_at and row.exclusive:
                held.setdefault(machines[row.device], []).append(row)
        queues = Counter(row.device for row in rows if row.granted_at is None)
        found = {name: _holding(name, held.get(machine, ()), queues[name]) for name, machine in machines.items()}
        return {name: found[name] for name in names if name in found and found[name] != _FREE}

    def unreleased(self, run: str) -> frozenset[str]:
        """Return the devices with a lease for the run, expired leases included, ended leases excluded."""
        held = LEASES.where(t.lease.c.run_id == run, t.lease.c.ended_at.is_(None), t.lease.c.granted_at.is_not(None))
        with self._database.read() as connection:
            return frozenset(as_lease(row).device for row in connection.execute(held))

    def database_id(self) -> str:
        """Return the identity of the database. The first call creates the identity."""
        with self._database.read() as connection:
            known = connection.execute(_IDENTITY).scalar()
        if known is None:
            with self._database.write() as connection:
                # Two first calls at once agree: the second finds the first one's row.
                upsert(connection, t.database_identity, {"id": 1}, {}, {"uuid": str(uuid.uuid4())})
                known = connection.execute(_IDENTITY).scalar_one()
        return str(known)


class _Decision:
    """Decide on a request within a transaction. An instance is used once."""

    def __init__(
        self,
        connection: Connection,
        request: LeaseRequest,
        devices: Sequence[Device],
        waiting: Mapping[str, int],
    ) -> None:
        self._connection = connection
        self._request = request
        self._devices = devices
        self._waiting = waiting
        self._known = self._lock([device.name for device in devices])
        self._now = database_time(connection)

    def decide(self) -> dict[str, Granted | Busy]:
        """Decide on each device in turn: a granted device is in the way of other names of the device's machine."""
        machines = self._read_machines()
        own: dict[str, int | None] = {}
        judged: dict[str, Judgement] = {}
        for device in self._devices:
            name = device.name
            own[name] = self._place(name, machines.of(name))
            neighbours = machines.beside(device)
            judged[name] = judge(machines.of(name), self._request, own[name], self._now, neighbours)
            machines.apply(device, judged[name], self._request, own[name], self._now)
        ended = {row.id for one in judged.values() for row in (*one.expired, *(one.replaced if one.granted else ()))}
        self._end(ended)
        # Tokens grow with each grant. The device refuses to start anything under a lower token than it has seen.
        tokens = {name: self._known[name].lease_token + 1 for name, one in judged.items() if one.granted}
        if tokens:
            given = [{"device": self._known[name].id, "to": token} for name, token in tokens.items()]
            self._connection.execute(_SET_TOKEN, given)
        values = {
            device.name: self._values(device, judged[device.name], tokens.get(device.name))
            for device in self._devices
            # A request that neither got the device nor queues for it leaves no row.
            if judged[device.name].granted or self._queues(judged[device.name])
        }
        leases = self._write(values, own)
        return {name: self._answer(name, judged[name], leases.get(name)) for name in judged}

    def confirm(self, held: Mapping[str, int]) -> dict[str, Busy]:
        """Give up each held lease behind another name of the machine. Return the answers for devices so given up."""
        machines = self._read_machines()
        judged: dict[str, Judgement] = {}
        # The lease granted last gives way first: of two names in one batch, the first keeps the machine.
        for device in sorted(self._devices, key=lambda one: held[one.name], reverse=True):
            beside = [row for row in machines.beside(device) if row.granted_at is not None]
            found = judge((), self._request, None, self._now, beside)
            if found.blockers:
                judged[device.name] = found
                machines.forget(device.name, held[device.name])
        self._end({held[name] for name in judged})
        values = {
            device.name: self._values(device, judged[device.name], None)
            for device in self._devices
            if device.name in judged and self._queues(judged[device.name])
        }
        places = self._write(values, dict.fromkeys(values))
        return {name: self._busy(name, one, places.get(name)) for name, one in judged.items()}

    def _queues(self, judged: Judgement) -> bool:
        return self._request.queues or (judged.turn and self._request.takes_turns)

    def _lock(self, names: Sequence[str]) -> dict[str, Any]:
        """Lock the devices and all other names of the machines. Return the rows by name."""
        found = self._lock_known(names)
        unknown = [device for device in self._devices if device.name not in found]
        for device in sorted(unknown, key=lambda one: one.name):
            remember_device(self._connection, device)
        # A row inserted above is locked like the others, and read with its token.
        return self._lock_known(names) if unknown else found

    def _lock_known(self, names: Sequence[str]) -> dict[str, Any]:
        found = self._connection.execute(_lock_devices(self._connection), {"names": sorted(names)})
        return {row.name: row for row in found}

    def _read_machines(self) -> _Machines:
        ids = [row.id for row in self._known.values()]
        rows = [as_lease(row) for row in self._connection.execute(_OPEN_OF_DEVICES, {"devices": ids})]
        return _Machines({name: row.machine for name, row in self._known.items()}, rows)

    def _end(self, leases: Collection[int]) -> None:
        if leases:
            self._connection.execute(_END, {"ids": sorted(leases), "now": self._now})

    def _place(self, name: str, rows: Sequence[Lease]) -> int | None:
        """Return the request's place in the queue, or None if another request has ended the expired place."""
        place = self._waiting.get(name)
        return place if any(row.id == place for row in rows) else None

    def _values(self, device: Device, judged: Judgement, token: int | None) -> dict[str, Any]:
        request, now = self._request, self._now
        lasts_s = request.lasts_s if judged.granted else request.place_s
        return {
            "device": device.name,
            "device_id": self._known[device.name].id,
            "holder": request.holder,
            "controller": request.controller,
            "run_id": request.run,
            "reason": request.reason,
            "exclusive": judged.exclusive or not judged.granted,
            "requested_at": now,
            "granted_at": now if judged.granted else None,
            "expires_at": now + timedelta(seconds=lasts_s),
            "token": token,
            "shares_machine": not device.exclusive,
        }

    def _write(self, values: Mapping[str, dict[str, Any]], own: Mapping[str, int | None]) -> dict[str, Lease]:
        """Insert new leases and places, update known places, and return the leases by device."""
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

    def _answer(self, name: str, judged: Judgement, lease: Lease | None) -> Granted | Busy:
        if judged.granted and lease is not None:
            return Granted(lease, judged.replaced)
        return self._busy(name, judged, lease)

    def _busy(self, name: str, judged: Judgement, place: Lease | None) -> Busy:
        return Busy(name, judged.blockers, judged.ahead, place.id if place else None, self._now, judged.turn)


class _Machines:
    """The open leases and places of several devices, by device and by machine, as decisions change them."""

    def __init__(self, machines: Mapping[str, str | None], rows: Sequence[Lease]) -> None:
        self._machines = machines
        self._rows: dict[str, list[Lease]] = {name: [] for name in machines}
        for row in rows:
            self._rows[row.device].append(row)
        self._names: dict[str, list[str]] = {}
        for name, machine in machines.items():
            if machine is not None:
                self._names.setdefault(machine, []).append(name)

    def of(self, name: str) -> Sequence[Lease]:
        """Return the rows of a device."""
        return self._rows[name]

    def beside(self, device: Device) -> Sequence[Lease]:
        """Return the rows of the other names of a device's machine, but for pairs sharing the machine."""
        machine = self._machines[device.name]
        names = self._names[machine] if machine is not None else []
        beside = [row for name in names if name != device.name for row in self._rows[name]]
        return [row for row in beside if device.exclusive or not row.shares_machine]

    def forget(self, name: str, lease: int) -> None:
        """Take out a lease, after the lease has given way."""
        self._rows[name] = [row for row in self._rows[name] if row.id != lease]

    def apply(self, device: Device, judged: Judgement, request: LeaseRequest, own: int | None, now: datetime) -> None:
        """Change the rows as a decision does. A new row has the id `_ASSUMED` until the transaction writes the row."""
        gone = (*judged.expired, *(judged.replaced if judged.granted else ()))
        ids = {row.id for row in gone}
        # At their own devices alone: a look at every device for each would grow with the square of a fleet.
        for name in {row.device for row in gone}:
            self._rows[name] = [row for row in self._rows[name] if row.id not in ids]
        if judged.granted:
            lease = Lease(
                own or _ASSUMED,
                device.name,
                request.holder,
                request.controller,
                request.run,
                request.reason,
                judged.exclusive,
                now,
                now,
                now + timedelta(seconds=request.lasts_s),
                None,
                not device.exclusive,
            )
            self.forget(device.name, own or _ASSUMED)
            self._rows[device.name].append(lease)


def _lease(key: int, values: Mapping[str, Any]) -> Lease:
    fields = {name: value for name, value in values.items() if name not in ("device_id", "run_id")}
    return Lease(id=key, run=values["run_id"], **fields)


def _holding(name: str, held: Sequence[Lease], queue: int) -> Holding:
    """Return the holding of a device by the leases of its machine."""
    own = tuple(row for row in held if row.device == name)
    return Holding(own, queue, tuple(row for row in held if row.device != name))


def _lock_devices(connection: Connection) -> Select[Any]:
    return _LOCK_DEVICES[connection.dialect.name]


def _lock_open(
    connection: Connection, leases: Mapping[int, float] | Sequence[int], statement: Select[Any]
) -> list[int]:
    return list(connection.execute(statement, {"ids": sorted(leases)}).scalars())


_IDENTITY = select(t.database_identity.c.uuid)
_ASSUMED = 0
"""The id of a lease before the transaction writes it: databases count from 1."""

_TWIN = t.device.alias("twin")
_NAMED = t.device.c.name.in_(bindparam("names", expanding=True))
_SAME_MACHINE = t.device.c.machine.in_(
    select(_TWIN.c.machine).where(_TWIN.c.name.in_(bindparam("names", expanding=True)), _TWIN.c.machine.is_not(None))
)
_IN_USE_BESIDE = (
    select(_TWIN.c.name)
    .distinct()
    .join(t.device, and_(t.device.c.machine == _TWIN.c.machine, t.device.c.id != _TWIN.c.id))
    .join(t.lease, t.lease.c.device_id == t.device.c.id)
    .where(
        _TWIN.c.name.in_(bindparam("names", expanding=True)),
        t.lease.c.granted_at.is_not(None),
        t.lease.c.ended_at.is_(None),
    )
)
_DEVICES = select(t.device.c.id, t.device.c.name, t.device.c.lease_token, t.device.c.machine).where(
    or_(_NAMED, _SAME_MACHINE)
)
_LOCKED = _DEVICES.with_for_update(key_share=True)  # others may still insert rows that refer to the device
_LOCK_DEVICES = {
    "sqlite": _LOCKED.order_by(t.device.c.name),
    "postgresql": _LOCKED.order_by(collate(t.device.c.name, "C")),
}
"""Lock device rows in Python's order of names, as all writers do. A server's own collation may sort differently."""

_OPEN_OF_DEVICES = (
    LEASES.where(t.lease.c.device_id.in_(bindparam("devices", expanding=True)), t.lease.c.ended_at.is_(None))
    .order_by(t.lease.c.id)  # the order of locks, and of places in the queue
    .with_for_update(of=t.lease)
)
_OPEN_OF_NAMES = LEASES.where(_NAMED, t.lease.c.ended_at.is_(None)).order_by(t.lease.c.id)
_FREE = Holding((), 0)
_OPEN = (
    select(t.lease.c.id)
    .where(t.lease.c.id.in_(bindparam("ids", expanding=True)), t.lease.c.ended_at.is_(None))
    .order_by(t.lease.c.id)
)
_LOCK_OPEN_TO_END = _OPEN.with_for_update()
# A renewal waits for whoever ends the lease, and not for the writers under the lease: their transactions may be long.
_LOCK_OPEN_TO_EXTEND = _OPEN.with_for_update(key_share=True)
_END = update(t.lease).where(t.lease.c.id.in_(bindparam("ids", expanding=True))).values(ended_at=bindparam("now"))
_SET_EXPIRY = (
    update(t.lease)
    .where(t.lease.c.id == bindparam("lease"))
    .values(expires_at=bindparam("to"), left_at=bindparam("left"))
)
_SET_TOKEN = update(t.device).where(t.device.c.id == bindparam("device")).values(lease_token=bindparam("to"))
# Without the sort, RETURNING may give the ids in another order than the rows.
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
