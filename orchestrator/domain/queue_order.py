"""Decide which submission is next, and why another one waits. Pure functions of what the database knows.

Higher priority goes first, and each day of waiting raises the priority by one: nothing waits for ever. At equal
priority the person goes first whose runs had the least device time over the last day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.domain.lease import Holding, Lease
from orchestrator.domain.moments import noted
from orchestrator.domain.need import need_of
from orchestrator.domain.recovery import Quarantine
from orchestrator.domain.submission import DaemonRecord, Submission, SubmissionState
from orchestrator.domain.window import Window, open_windows

SHARE_OVER = timedelta(days=1)
"""The time over which the device time of people is compared."""
_DAY = timedelta(days=1)
_LEASED_WITHIN = timedelta(minutes=1)
_PUT_OFF_MAX = 16
"""Windows that exclude each other for so many openings in a row do so for ever."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold what decides on the queue. `shares` are seconds of devices by person. `holdings` are by device.

    `windows` are by name: a daemon's own, or those of all daemons that live.
    """

    now: datetime
    shares: Mapping[str, float] = field(default_factory=dict)
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    quarantines: Mapping[str, Quarantine] = field(default_factory=dict)
    windows: Mapping[str, Window] = field(default_factory=dict)


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
        if not names or not is_due(one, names, standing):
            continue
        if wanted.isdisjoint(names) and not obstacle(one, names, standing):
            yield one
        wanted.update(names)


def _is_fresh(one: Submission, now: datetime) -> bool:
    """Return True for a claim whose daemon may not have leased the devices yet. Later the leases tell."""
    return one.is_claimed and one.claimed_at is not None and now - one.claimed_at < _LEASED_WITHIN


def more_urgent(
    own: Submission, submissions: Sequence[Submission], devices: Mapping[int, Collection[str]], standing: Standing
) -> Submission | None:
    """Return the submission that would begin at once if a run that goes on gave its devices back, or None.

    Its priority is higher, waiting days counted, so that the two never take turns.
    """
    mine = devices.get(own.id, ())
    free = {
        name: replace(holding, held=tuple(lease for lease in holding.held if lease.run != own.run))
        for name, holding in standing.holdings.items()
    }
    others = [one for one in submissions if one.id != own.id]
    least = effective_priority(own, standing.now)
    for one in startable(others, devices, replace(standing, holdings=free)):
        if effective_priority(one, standing.now) > least and not set(mine).isdisjoint(devices[one.id]):
            return one
    return None


def is_due(one: Submission, names: Collection[str], standing: Standing) -> bool:
    """Return True if nothing but devices is in the way: waiting, or left behind by a daemon, and not too early."""
    if one.state is SubmissionState.RUNNING:
        return not one.is_claimed
    return one.state is SubmissionState.WAITING and due_at(one, names, standing, standing.now) == standing.now


def _is_begun(one: Submission) -> bool:
    """Return True if the run may be at work on its devices. A run that gave way has left them."""
    return one.claim > 0 and not one.has_yielded


def due_at(one: Submission, names: Collection[str], standing: Standing, now: datetime) -> datetime | None:
    """Return from when on nothing but devices is in the way, now at the earliest, or None for a window never open."""
    begin = max(now, one.not_before or now)
    if _is_begun(one) or (one.window is None and not standing.windows):
        # What has begun goes on: its devices may be at work by themselves.
        return begin
    for _ in range(_PUT_OFF_MAX):
        refused = _refusal(one, names, standing)
        if refused is not None:
            return None
        window = None if one.window is None else standing.windows[one.window]
        if window is not None and window.closes_at(begin) is None:
            begin = window.opens_at(begin)
        elif (keeper := _keeper(one, names, standing, begin)) is not None:
            begin = keeper.until
        else:
            return begin
    return None


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Name a window that keeps a device for others, and until when."""

    device: str
    window: Window
    until: datetime


def _keeper(one: Submission, names: Collection[str], standing: Standing, now: datetime) -> _Keeper | None:
    """Return the window that keeps a device of a submission for other people longest, or None."""
    found = [
        _Keeper(name, window, closes)
        for name in sorted(names)
        for window, closes in open_windows(standing.windows.values(), name, now)
        if not window.admits(one.person)
    ]
    return max(found, key=lambda keeper: keeper.until, default=None)


def _refusal(one: Submission, names: Collection[str], standing: Standing) -> str | None:
    """Return why a submission never begins within the window that it names, in words, or None."""
    if one.window is None:
        return None
    window = standing.windows.get(one.window)
    if window is None:
        known = f" (known: {', '.join(sorted(standing.windows))})" if standing.windows else ""
        return f"no running daemon knows the window {one.window}{known}"
    if not window.admits(one.person):
        return f"window {window.name} is not for {one.person}, but for {', '.join(window.users)}"
    outside = sorted(name for name in names if not window.covers(name))
    return f"{outside[0]} is not in window {window.name}" if outside else None


def _window_reason(one: Submission, names: Collection[str], standing: Standing) -> str | None:
    """Return which window is in the way, in words, or None."""
    if _is_begun(one):
        return None
    if (refused := _refusal(one, names, standing)) is not None:
        return refused
    window = None if one.window is None else standing.windows[one.window]
    if window is not None and window.closes_at(standing.now) is None:
        return f"waits for window {window.name}, opens {noted(window.opens_at(standing.now), standing.now)}"
    keeper = _keeper(one, names, standing, standing.now)
    if keeper is None:
        return None
    people, until = ", ".join(keeper.window.users), noted(keeper.until, standing.now)
    return f"{keeper.device} is kept for {people} until {until} by window {keeper.window.name}"


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
        found[one.id] = _window_reason(one, names, standing) if daemons else None
        if found[one.id] is not None:
            continue
        found[one.id] = _reason_of_devices(one, known, ahead, standing) if daemons else "no daemon is running"
        for name in names:
            ahead.setdefault(name, one)
    return found


def _own_reason(one: Submission, now: datetime) -> str | None:
    if one.state is SubmissionState.HELD:
        held = f"held: {one.error}" if one.error else "held"
        return f"{held}; to go on cancelling: benchfleet queue cancel {one.run}" if one.stops else held
    if one.stops:
        return "is being cancelled"
    if one.not_before is not None and one.not_before > now and not one.is_claimed:
        return f"not before {noted(one.not_before, now)}"
    return None


def _reason_of_devices(
    one: Submission, known: Collection[str], ahead: Mapping[str, Submission], standing: Standing
) -> str:
    if one.device_s is None:
        need = need_of(one.settings)
        devices = "devices" if need is None else f"{need.count} devices"
        return f"no running daemon has found {devices} for {one.select!r}"
    names = sorted(one.device_s)
    if missing := [name for name in names if name not in known]:
        return f"no running daemon has the device {missing[0]}"
    for name in names:
        if name in ahead:
            return f"behind {ahead[name].run} for {name}"
    return obstacle(one, names, standing) or "next to begin"
