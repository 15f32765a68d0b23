"""Declare the tables of devices: devices, facts, leases, and recoveries."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    String,
    Table,
    Text,
    false,
)

from orchestrator.store.schema.columns import key, metadata, reference, text
from orchestrator.store.sql.column_types import Json, UtcTime

device = Table(
    "device",
    metadata,
    key(),
    Column("name", Text, nullable=False, unique=True, doc="The device's name in the inventory."),
    text("transport", "The way of the last connection: local, ray or ssh."),
    Column("tags", Json, nullable=False, doc="The device's tags in the inventory, as last seen."),
    Column("first_seen_at", UtcTime, nullable=False, doc="When this database first heard of the device."),
    Column(
        "lease_token",
        BigInteger,
        nullable=False,
        # By the database: the column was added to a table with rows.
        server_default="0",
        doc="The device's last lease token; 0: none.",
    ),
    text(
        "machine",
        "The boot id that the device showed last. Names with the same boot id are one machine.",
        nullable=True,
    ),
    info={"doc": "A device: a board, a desktop or a server to be measured."},
)

device_snapshot = Table(
    "device_snapshot",
    metadata,
    key(),
    reference("device_id", "device"),
    Column("taken_at", UtcTime, nullable=False, doc="When the controller asked for the facts."),
    Column("identity_hash", String(16), nullable=False, doc="Hash of facts that only other hardware changes."),
    Column("environment_hash", String(16), nullable=False, doc="Hash of facts that upgrades and settings change."),
    Column("facts", Json, nullable=False, doc="The facts, as docs/worker-protocol.md names them."),
    Index(None, "device_id", "taken_at"),
    info={"doc": "The facts of a device at a date: one row for each time that the device was asked."},
)

lease = Table(
    "lease",
    metadata,
    key(),
    reference("device_id", "device"),
    text("holder", "The holder: user@host."),
    text("controller", "The holder's process."),
    reference("run_id", "run", "The run of the lease; NULL for a reservation.", nullable=True),
    text("reason", "The reason of a reservation.", nullable=True),
    Column("exclusive", Boolean, nullable=False, doc="False for a lease to collect or cancel a run only."),
    Column("requested_at", UtcTime, nullable=False, doc="All times of this table are by the database's clock."),
    Column("granted_at", UtcTime, doc="NULL in the queue, which is served in the order of ids."),
    Column("expires_at", UtcTime, nullable=False, doc="When the lease ends by itself, unless it is renewed."),
    Column("ended_at", UtcTime, doc="When the lease was given back, taken over or found expired; NULL before."),
    Column("token", BigInteger, doc="Grows with each grant for the device; NULL in the queue."),
    Column(
        "shares_machine",
        Boolean,
        nullable=False,
        # Added to a table with rows, as `device.lease_token` was.
        server_default=false(),
        doc="True if other names of the machine may be in use meanwhile: `exclusive: false` in the inventory.",
    ),
    Column("left_at", UtcTime, doc="When the controller left the device to itself; NULL while a controller renews."),
    Index(None, "device_id", "token"),
    info={"doc": "A lease of a device, granted or in the queue: for a run, or for the person who reserves the device."},
)

recovery_event = Table(
    "recovery_event",
    metadata,
    key(),
    reference("device_id", "device"),
    reference("run_id", "run"),
    text("rung", "retry, reconnect, restart, reboot, power-cycle or quarantine."),
    text("reason", "The failure that the rung answers."),
    Column("began_at", UtcTime, nullable=False, doc="All times of this table are by the database's clock."),
    Column("ended_at", UtcTime, doc="When the effect was known; NULL if the controller ended before."),
    Column("succeeded", Boolean, doc="Whether the device was back after the rung; NULL if unknown."),
    Index(None, "device_id"),
    Index(None, "run_id"),
    info={"doc": "A rung of the recovery ladder, climbed for a device that failed in a run."},
)

quarantine = Table(
    "quarantine",
    metadata,
    key(),
    reference("device_id", "device"),
    reference("run_id", "run", "The run of the failed recovery; NULL if a person decided.", nullable=True),
    text("reason", "The reason."),
    text("holder", "The person, or the holder of the run: user@host."),
    Column("since", UtcTime, nullable=False, doc="All times of this table are by the database's clock."),
    Column("ended_at", UtcTime, doc="When the device was admitted again; NULL before."),
    text("ended_by", "The person who admitted the device again: user@host.", nullable=True),
    info={"doc": "A quarantine: no run may use the device. A device has at most one row that has not ended."},
)
