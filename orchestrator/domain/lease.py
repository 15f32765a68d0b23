"""Decide on the use of a device: leases, the queue for leases, and the precedence among requests.

`judge` has all rules, as a pure function of a device's rows. The store applies the judgement in one transaction.
docs/decisions/0010 explains the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain.device import Device
from orchestrator.domain.moments import noted


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Ask for the lease of a device.

    `holder` is user@host, and `controller` the process. A request without a run is a reservation. The lease lasts
    `lasts_s` seconds unless renewed. `reservation` is the id of a reservation for the run to use, whoever the holder.
    With `queues` the request waits in line instead of being refused. With `takes_turns` the request waits at least for
    the same run on another name of the machine. A place in the queue lasts `place_s` seconds unless renewed. With
    `collects` the controller will start no runner, and another holder's lease is not in the way.
    """

    holder: str
    controller: str
    run: str | None
    reason: str | None
    lasts_s: float
    reservation: int | None = None
    queues: bool = False
    place_s: float = 60.0
    collects: bool = False
    takes_turns: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Hold a lease of a device as stored in the database. A lease not granted yet is a place in the queue.

    A lease holds until `expires_at` by the database's clock. The tokens of a device only grow. A place in the queue has
    no token. With `shares_machine` other devices of the same machine may be in use meanwhile, if they share it too.
    Since `left_at` no controller renews the lease, and the device goes on by itself.
    """

    id: int
    device: str
    holder: str
    controller: str
    run: str | None
    reason: str | None
    exclusive: bool  # False for a lease that only collects, beside the lease of another holder
    requested_at: datetime
    granted_at: datetime | None
    expires_at: datetime
    token: int | None
    shares_machine: bool = False
    left_at: datetime | None = None

    @property
    def is_reservation(self) -> bool:
        """Return True if a person holds the device, and no run."""
        return self.run is None

    def sentence(self, now: datetime) -> str:
        """Return holder and purpose of the lease in words, with the end of a reservation, or the start of a run."""
        if self.run is not None:
            began = f" since {noted(self.granted_at, now)}" if self.granted_at else ""
            return f"in use by run {self.run} of {self.holder}{began}"
        reason = f" ({self.reason})" if self.reason else ""
        return f"reserved by {self.holder} until {noted(self.expires_at, now)}{reason}"


@dataclass(frozen=True, slots=True)
class StartLease:
    """Tell a device the lease of a plan, to be checked at the start and shown to other controllers.

    `estimate_s` is the expected duration of the plan in seconds. The device adds the duration to its own clock.
    """

    database: str
    device: str
    token: int
    holder: str
    estimate_s: float | None


@dataclass(frozen=True, slots=True)
class Granted:
    """Grant a device under `lease`. `taken_over` are the leases of the same run ended by the grant."""

    lease: Lease
    taken_over: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Busy:
    """Refuse a device for now: `held` are the leases in the way, and `ahead` counts the places ahead in the queue.

    `waiting` is the id of the request's own place, or None without a place. `now` is the database's time. With `turn`
    nothing is in the way but the same run, on another name of the machine.
    """

    device: str
    held: tuple[Lease, ...]
    ahead: int
    waiting: int | None
    now: datetime
    turn: bool = False

    @property
    def sentence(self) -> str:
        """Return the holder in the way, or the length of the queue."""
        if self.held:
            found = self.held[0]
            other = "" if found.device == self.device else f"the same machine as {found.device}, which is "
            return other + found.sentence(self.now)
        return f"{self.ahead} {'waits' if self.ahead == 1 else 'wait'} for it already"

    @property
    def refusal(self) -> str:
        """Return the holder in the way, and the end of the lease. A living controller renews the lease of its run."""
        if self.held and self.held[0].run is not None:
            return f"{self.sentence}, until {noted(self.held[0].expires_at, self.now)} unless renewed"
        return self.sentence


@dataclass(frozen=True, slots=True)
class Holding:
    """Hold the leases of a device, the length of the queue, and the leases of other names of the machine (`beside`)."""

    held: tuple[Lease, ...]
    queue: int
    beside: tuple[Lease, ...] = ()

    def in_the_way(self, device: Device) -> tuple[Lease, ...]:
        """Return the leases of other names of the machine that keep a device from runs of other people."""
        return tuple(lease for lease in self.beside if device.exclusive or not lease.shares_machine)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Hold the decision on a request for a device.

    `expired` leases are to be ended in any case, `replaced` leases if `granted`. `blockers` are the leases in the way.
    A lease granted in spite of blockers is not `exclusive`, and nothing may be started under the lease. With `turn`
    nothing is in the way but the same run, on another name of the machine.
    """

    expired: tuple[Lease, ...]
    replaced: tuple[Lease, ...]
    blockers: tuple[Lease, ...]
    ahead: int
    granted: bool
    exclusive: bool
    turn: bool = False


def judge(
    rows: Sequence[Lease],
    request: LeaseRequest,
    own: int | None,
    now: datetime,
    neighbours: Sequence[Lease] = (),
) -> Judgement:
    """Decide on a request by the open leases and places of the device (`rows`) and of its machine (`neighbours`).

    `neighbours` belong to other names of the same machine. `own` is the id of the request's place in the queue, or
    None. A place is kept even if renewed too late. A lease of the same run and device is replaced at once, whoever the
    holder, expired or not. A run within a reservation of the same holder goes before the queue, because the queue waits
    for the reservation.
    """
    # The own place is spared: its owner is here to renew it.
    expired = tuple(row for row in (*rows, *neighbours) if row.expires_at <= now and row.id != own)
    live = [row for row in (*rows, *neighbours) if row not in expired and row.id != own]
    held = [row for row in live if row.granted_at is not None]
    of_run = [row for row in rows if row.granted_at is not None and request.run is not None and row.run == request.run]
    replaced = tuple(row for row in of_run if row.id != own)
    shelters = [row for row in held if _shelters(row, request)]
    blockers = tuple(
        row
        for row in held
        if row.exclusive and row not in replaced and row not in shelters and not _within(request, row)
    )
    # Places are served in the order of ids. Without a place the request comes last.
    queue = [row for row in live if row.granted_at is None and (own is None or row.id < own)]
    # A take-over is the same run going on: it keeps the turn that the run had.
    goes_first = bool(shelters) or any(row.exclusive and row in held for row in replaced)
    ahead = 0 if goes_first else len(queue)
    exclusive = not blockers and not ahead
    waits_for = [*blockers, *(queue if ahead else ())]
    turn = request.run is not None and not exclusive and all(row.run == request.run for row in waits_for)
    return Judgement(expired, replaced, blockers, ahead, exclusive or request.collects, exclusive, turn)


def _shelters(row: Lease, request: LeaseRequest) -> bool:
    """Return True if a lease is a reservation for the requesting run to use."""
    own = row.holder == request.holder or row.id == request.reservation
    # A reservation never gives way to another reservation, not even of the same holder.
    return row.is_reservation and request.run is not None and own


def _within(request: LeaseRequest, row: Lease) -> bool:
    """Return True if the request is a reservation around a running run of the same holder."""
    return request.run is None and not row.is_reservation and row.holder == request.holder
