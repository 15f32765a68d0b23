"""Who may use a device: leases, the queue for them, and who gives way to whom.

`judge` is the whole law, a pure function of the rows of one device; the store applies what it says in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants devices, for what, and for how long unless renewed.

    `holder` is user@host, `controller` the very process. Without a run it is a reservation. `reservation` is the id of
    one that admits this run, whoever holds it. `queues`: wait in line rather than be refused; the place is kept for
    `place_s` unless it is renewed. `collects`: nothing will be started, so that a lease of somebody else does not stand
    in the way.
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


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim on one device as the database has it; one that is not granted stands in the queue.

    It holds until `expires_at` by the database's clock. Tokens of a device only grow; a waiting one has none.
    """

    id: int
    device: str
    holder: str
    controller: str
    run: str | None
    reason: str | None
    exclusive: bool
    requested_at: datetime
    granted_at: datetime | None
    expires_at: datetime
    token: int | None

    @property
    def is_reservation(self) -> bool:
        """Whether a person holds the device, rather than a run."""
        return self.run is None

    def sentence(self, now: datetime) -> str:
        """Say who has the device, and why; until when, where that is settled."""
        if self.run is not None:
            began = f" since {clock(self.granted_at, now)}" if self.granted_at else ""
            return f"in use by run {self.run} of {self.holder}{began}"
        reason = f" ({self.reason})" if self.reason else ""
        return f"reserved by {self.holder} until {clock(self.expires_at, now)}{reason}"


@dataclass(frozen=True, slots=True)
class StartLease:
    """Under which lease a device starts a plan: what it checks, and what it tells whoever it keeps out.

    `estimate_s` is about how long the plan will take; the device adds it to its own clock.
    """

    database: str
    device: str
    token: int
    holder: str
    estimate_s: float | None


@dataclass(frozen=True, slots=True)
class Granted:
    """The device may be used under `lease`; `taken_over` are the leases of the same run that it ended."""

    lease: Lease
    taken_over: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Busy:
    """The device is somebody else's: `held` by these, with so many waiting `ahead`.

    `waiting` is the claim's own place in the queue's table; None where it does not queue. `now` is the database's time.
    """

    held: tuple[Lease, ...]
    ahead: int
    waiting: int | None
    now: datetime

    @property
    def sentence(self) -> str:
        """Say who is in the way."""
        if self.held:
            return self.held[0].sentence(self.now)
        return f"{self.ahead} {'waits' if self.ahead == 1 else 'wait'} for it already"

    @property
    def refusal(self) -> str:
        """Say who is in the way, and until when: a run's lease too, which is renewed while its controller lives."""
        if self.held and self.held[0].run is not None:
            return f"{self.sentence}, until {clock(self.held[0].expires_at, self.now)} unless renewed"
        return self.sentence


@dataclass(frozen=True, slots=True)
class Holding:
    """Who has a device, and how many wait for it."""

    held: tuple[Lease, ...]
    queue: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a claim: leases that have run out, those that it replaces, and who stands in its way.

    Where `granted`, nobody does, unless the lease is not `exclusive`: then nothing may be started under it.
    """

    expired: tuple[Lease, ...]
    replaced: tuple[Lease, ...]
    blockers: tuple[Lease, ...]
    ahead: int
    granted: bool
    exclusive: bool


def judge(rows: Sequence[Lease], claim: Claim, own: int | None, now: datetime) -> Judgement:
    """Decide on a claim from the device's leases that have not ended, waiting ones included.

    `own` is the claim's place in the queue, if it has one: it is kept even if its owner was late to renew it. A lease
    of the same run is replaced at once, whoever holds it, or held it until it ran out. A run within a reservation of
    its holder goes before the queue, which waits for the reservation.
    """
    expired = tuple(row for row in rows if row.expires_at <= now and row.id != own)
    live = [row for row in rows if row not in expired and row.id != own]
    held = [row for row in live if row.granted_at is not None]
    of_run = [row for row in rows if row.granted_at is not None and claim.run is not None and row.run == claim.run]
    replaced = tuple(row for row in of_run if row.id != own)
    shelters = [row for row in held if _shelters(row, claim)]
    blockers = tuple(
        row for row in held if row.exclusive and row not in replaced and row not in shelters and not _within(claim, row)
    )
    queue = [row for row in live if row.granted_at is None and (own is None or row.id < own)]
    goes_first = bool(shelters) or any(row.exclusive and row in held for row in replaced)
    ahead = 0 if goes_first else len(queue)
    exclusive = not blockers and not ahead
    return Judgement(expired, replaced, blockers, ahead, exclusive or claim.collects, exclusive)


def _shelters(row: Lease, claim: Claim) -> bool:
    """Say whether a reservation is the claiming run's own."""
    own = row.holder == claim.holder or row.id == claim.reservation
    return row.is_reservation and claim.run is not None and own


def _within(claim: Claim, row: Lease) -> bool:
    """Say whether a reservation is claimed around a run of the same holder."""
    return claim.run is None and not row.is_reservation and row.holder == claim.holder


def clock(moment: datetime | None, now: datetime) -> str:
    """Return a time in UTC; the date too where it is not today's."""
    if moment is None:
        return "an unknown time"
    pattern = "%H:%M UTC" if moment.date() == now.date() else "%Y-%m-%d %H:%M UTC"
    return moment.strftime(pattern)
