"""Expect when submissions begin: play the queue through, by the times that are known, as daemons would work it."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from orchestrator.domain.queue_order import Standing, due_at
from orchestrator.domain.submission import Submission, SubmissionState

_AHEAD_MAX = timedelta(days=365)
"""Nothing is told beyond: a window may never be open while a device is free."""


def expected_starts(ordered: Sequence[Submission], standing: Standing) -> Mapping[int, datetime | None]:
    """Return by submission when it is expected to begin, None where a time is unknown.

    A device works through its submissions one after the other, in their order at present. What is not due yet, or waits
    for a window, keeps no device until then. Behind a submission whose time on a device is unknown, nothing on that
    device is known.
    """
    found: dict[int, datetime | None] = {one.id: one.claimed_at for one in ordered if one.is_claimed}
    waiting = [one for one in ordered if not one.is_claimed]
    found |= {one.id: None for one in waiting}
    able = {place: one for place, one in enumerate(waiting) if one.state is not SubmissionState.HELD and one.device_s}
    found |= _Play(able, _free(ordered, standing), standing).play()
    return found


def _free(ordered: Sequence[Submission], standing: Standing) -> dict[str, datetime | None]:
    """Return when each device that is in use is free again, None for a time that is unknown."""
    free: dict[str, datetime | None] = {}
    for name, holding in standing.holdings.items():
        free[name] = max((lease.expires_at for lease in holding.held), default=standing.now)
    for one in (one for one in ordered if one.is_claimed):
        for name, seconds in (one.device_s or {}).items():
            began = one.claimed_at or standing.now
            free[name] = None if seconds is None else max(standing.now, began + timedelta(seconds=seconds))
    return free


class _Play:
    """Play a queue through. Submissions are named by their place in the order.

    A submission begins once it is the first on each of its devices, and all of them are free: what is due keeps its
    devices from all behind it. So only the first of each device is looked at, and the length of the queue costs little.
    """

    def __init__(self, able: Mapping[int, Submission], free: Mapping[str, datetime | None], standing: Standing) -> None:
        self._able = able
        self._standing = standing
        self._free = dict(free)
        self._queues: dict[str, list[int]] = {}
        # Moments of changes: a submission gets due, or, without one, a device gets free or a window closes.
        self._moments: list[tuple[datetime, int, tuple[str, ...]]] = []
        for place, one in able.items():
            self._wait(place, due_at(one, one.device_s or (), standing, standing.now))
            for name in one.device_s or ():
                self._queues.setdefault(name, [])
        for name, moment in free.items():
            if moment is not None:
                heapq.heappush(self._moments, (max(moment, standing.now), -1, (name,)))

    def play(self) -> Mapping[int, datetime | None]:
        """Return when each submission begins, those left out whose beginning is unknown."""
        found: dict[int, datetime | None] = {}
        until = self._standing.now + _AHEAD_MAX
        while self._moments and self._moments[0][0] <= until:
            now = self._moments[0][0]
            touched: set[str] = set()
            while self._moments and self._moments[0][0] == now:
                _, place, names = heapq.heappop(self._moments)
                touched.update(names)
                if place >= 0:
                    for name in names:
                        heapq.heappush(self._queues[name], place)
            while touched:
                self._look(touched.pop(), now, touched, found)
        return found

    def _look(self, device: str, now: datetime, touched: set[str], found: dict[int, datetime | None]) -> None:
        """Begin the first submission of a device if it may begin, or put it off if its window has closed."""
        queue = self._queues.get(device)
        if not queue:
            return
        place = queue[0]
        one = self._able[place]
        names = one.device_s or {}
        due = due_at(one, names, self._standing, now)
        if due is None or due > now:
            for name in names:
                self._queues[name].remove(place)
                heapq.heapify(self._queues[name])
            touched.update(names)
            self._wait(place, due)
            return
        if any(self._queues[name][0] != place or not self._is_free(name, now) for name in names):
            return
        found[one.id] = now
        for name, seconds in names.items():
            heapq.heappop(self._queues[name])
            self._free[name] = end = None if seconds is None else now + timedelta(seconds=seconds)
            if end is not None:
                heapq.heappush(self._moments, (end, -1, (name,)))

    def _is_free(self, device: str, now: datetime) -> bool:
        moment = self._free.get(device, now)
        return moment is not None and moment <= now

    def _wait(self, place: int, due: datetime | None) -> None:
        """Have a submission looked at once it is due, and once its window closes. Without a moment it is never due."""
        if due is None:
            return
        one = self._able[place]
        heapq.heappush(self._moments, (due, place, tuple(one.device_s or ())))
        window = None if one.window is None else self._standing.windows.get(one.window)
        closes = window.closes_at(due) if window is not None else None
        if closes is not None:
            heapq.heappush(self._moments, (closes, -1, tuple(one.device_s or ())))
