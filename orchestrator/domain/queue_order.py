"""Decide which submission is next, and why another one waits. Pure functions of what the database knows.

Higher priority goes first, and each day of waiting raises the priority by one: nothing waits for ever. At equal
priority the person goes first whose runs had the least device time over the last day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.domain.lease import Holding, Lease
from orchestrator.domain.moments import noted
from orchestrator.domain.recovery import Quarantine
from orchestrator.domain.submission import DaemonRecord, Submission, SubmissionState

SHARE_OVER = timedelta(days=1)
"""The time over which the device time of people is compared."""
_DAY = timedelta(days=1)
_LEASED_WITHIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what decides on the queue. `shares` are seconds of devices by person. `holdings` are by device."""

    now: datetime
    shares: Mapping[str, float] = field(default_factory=dict)
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    quarantines: Mapping[str, Quarantine] = field(default_factory=dict)


def in_order(submissions: Iterable[Submission], standing: Standing) -> list[Submission]:
    """Return the submissions in the order in which they are to begin, held and running ones included."""
    return sorted(submissions, key=lambda one: _place(one, standing))


def _place(one: Submission, standing: Standing) -> tuple[float, float, str, int, int]:
    share = standing.shares.get(one.person, 0.0)
    return (-effective_priority(one, standing.now), share, one.person, one.rank, one.id)


def effective_priority(one: Submission, now: datetime) -> int:
    """Return the priority, raised by one for each whole day since the submission could have run."""
    since = max(one.submitted_at, one.not_before or one.submitted_at)
    return one.priority + max(0, (now - since) // _DAY)


def startable(
    submissions: Sequence[Submission], devices: Mapping[int, Collection[str]], standing: Standing
) -> Iterator[Submission]:
    """Yield the submissions that may begin now, in order. `devices` has the devices of each that can run here.

    A submission that has to wait keeps its devices: what stands behind it must not overtake it there.
    """
    fresh = (one for one in submissions if _is_fresh(one, standing.now))
    wanted = {name for one in fresh for name in devices.get(one.id, ())}
    for one in in_order(submissions, standing):
        names = devices.get(one.id)
        if not names or not is_due(one, standing.now):
            continue
        if wanted.isdisjoint(names) and not obstacle(one, names, standing):
            yield one
        wanted.update(names)


def _is_fresh(one: Submission, now: datetime) -> bool:
    """Return True for a claim whose daemon may not have leased the devices yet. Later the leases tell."""
    return one.is_claimed and one.claimed_at is not None and now - one.claimed_at < _LEASED_WITHIN


def is_due(one: Submission, now: datetime) -> bool:
    """Return True if nothing but devices is in the way: waiting, or left behind by a daemon, and not too early."""
    if one.state is SubmissionState.RUNNING:
        return not one.is_claimed
    return one.state is SubmissionState.WAITING and (one.not_before is None or one.not_before <= now)


def obstacle(one: Submission, names: Collection[str], standing: Standing) -> str | None:
    """Return what keeps a submission from its devices, in words, or None."""
    if all(name in standing.quarantines for name in names):
        name = min(names)
        return f"{name} is in quarantine: {standing.quarantines[name].reason}"
    for name in sorted(names):
        for lease in standing.holdings[name].held if name in standing.holdings else ():
            if _is_in_the_way(lease, one):
                return f"{name} is {lease.sentence(standing.now)}"
    return None


def _is_in_the_way(lease: Lease, one: Submission) -> bool:
    if lease.run == one.run:
        # Left behind: the run's own device goes on by itself, and is to be followed. Renewed: somebody drives the run.
        return lease.left_at is None
    return not (lease.is_reservation and lease.holder == one.holder)


def reasons(
    ordered: Sequence[Submission], daemons: Sequence[DaemonRecord], standing: Standing
) -> Mapping[int, str | None]:
    """Return by submission why it waits, in words; None for a submission that runs."""
    found: dict[int, str | None] = {}
    ahead: dict[str, Submission] = {}
    known = {name for daemon in daemons for name in daemon.devices}
    for one in ordered:
        names = tuple(one.device_s or ())
        found[one.id] = _own_reason(one, standing.now)
        if found[one.id] is not None or one.is_claimed:
            continue
        found[one.id] = _reason_of_devices(one, known, ahead, standing) if daemons else "no daemon is running"
        for name in names:
            ahead.setdefault(name, one)
    return found


def _own_reason(one: Submission, now: datetime) -> str | None:
    if one.stops:
        return "is being cancelled"
    if one.state is SubmissionState.HELD:
        return f"held: {one.error}" if one.error else "held"
    if one.not_before is not None and one.not_before > now and not one.is_claimed:
        return f"not before {noted(one.not_before, now)}"
    return None


def _reason_of_devices(
    one: Submission, known: Collection[str], ahead: Mapping[str, Submission], standing: Standing
) -> str:
    if one.device_s is None:
        return f"no running daemon has found devices for {one.select!r}"
    names = sorted(one.device_s)
    if missing := [name for name in names if name not in known]:
        return f"no running daemon has the device {missing[0]}"
    for name in names:
        if name in ahead:
            return f"behind {ahead[name].run} for {name}"
    return obstacle(one, names, standing) or "next to begin"


def expected_starts(ordered: Sequence[Submission], standing: Standing) -> Mapping[int, datetime | None]:
    """Return by submission when it is expected to begin, None where a time is unknown.

    A device is expected to work through its submissions one after the other. Behind a submission whose time on a device
    is unknown, nothing on that device is known.
    """
    free: dict[str, datetime | None] = {}
    for name, holding in standing.holdings.items():
        free[name] = max((lease.expires_at for lease in holding.held), default=standing.now)
    found: dict[int, datetime | None] = {}
    for one in (one for one in ordered if one.is_claimed):
        for name, seconds in (one.device_s or {}).items():
            began = one.claimed_at or standing.now
            end = None if seconds is None else max(standing.now, began + timedelta(seconds=seconds))
            free[name] = end
        found[one.id] = one.claimed_at
    for one in (one for one in ordered if not one.is_claimed):
        begin = _begin(one, free, standing.now)
        found[one.id] = begin
        for name, seconds in (one.device_s or {}).items():
            if one.state is not SubmissionState.HELD:
                free[name] = None if begin is None or seconds is None else begin + timedelta(seconds=seconds)
    return found


def _begin(one: Submission, free: Mapping[str, datetime | None], now: datetime) -> datetime | None:
    if one.state is SubmissionState.HELD or not one.device_s:
        return None
    moments = [free.get(name, now) for name in one.device_s]
    if any(moment is None for moment in moments):
        return None
    return max([now, one.not_before or now, *(moment for moment in moments if moment is not None)])
