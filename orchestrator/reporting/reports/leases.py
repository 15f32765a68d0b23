"""Declare a reservation, made or given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.lease import Lease
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import BOOLEAN, INTEGER, TEXT, TIME, Key, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

LEASE = View[Lease](
    "lease",
    "A lease of a device, or a place in the queue, as stored in the database.",
    (
        Key("id", INTEGER, "The lease's id; `--reservation ID` names it.", lambda lease: lease.id),
        Key("device", TEXT, "The device's name.", lambda lease: lease.device),
        Key("holder", TEXT, "Who has the device: USER@HOST.", lambda lease: lease.holder),
        Key("controller", TEXT, "The holder's process.", lambda lease: lease.controller),
        Key("run", OrNull(TEXT), "The run; null for a reservation.", lambda lease: lease.run),
        Key("reason", OrNull(TEXT), "What the reservation is for.", lambda lease: lease.reason),
        Key("exclusive", BOOLEAN, "Whether the lease keeps others out.", lambda lease: lease.exclusive),
        Key("requested_at", TIME, "When the device was asked for.", lambda lease: lease.requested_at),
        Key("granted_at", OrNull(TIME), "When the device was given.", lambda lease: lease.granted_at),
        Key("expires_at", TIME, "When the lease ends by itself.", lambda lease: lease.expires_at),
        Key(
            "left_at",
            OrNull(TIME),
            "When the controller left the device to itself; null while one renews.",
            lambda lease: lease.left_at,
        ),
        Key("token", OrNull(INTEGER), "The fencing token; tokens of a device only grow.", lambda lease: lease.token),
        Key(
            "shares_machine",
            BOOLEAN,
            "True: others may use the machine meanwhile, if they share it too.",
            lambda lease: lease.shares_machine,
        ),
    ),
)
RESERVED = Shape[Lease](LEASE, LEASE, lambda lease: [lease])


def reservation_report(lease: Lease) -> Report:
    """Return a new reservation as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import reservation_line

        return reservation_line(lease)

    return Report(lease, RESERVED, draw)


def release_report(lease: Lease) -> Report:
    """Return an ended reservation as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import release_line

        return release_line(lease)

    return Report(lease, RESERVED, draw)
