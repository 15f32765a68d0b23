"""Connect to devices in turns: as many at once as the controller, and each address on the way, can serve.

Each handshake costs the controller some milliseconds of processor time. Hundreds of handshakes at once are all slow. A
jump host with too many new connections drops some (`MaxStartups` of sshd). Neither is a fault of the device, so a
device waits here first, and the device's own time begins to run with the turn.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from orchestrator.domain.errors import Unreachable
from orchestrator.transport.base import Asker
from orchestrator.transport.bounds import Bound, Pace

Clock = Callable[[], float]

AT_ADDRESS_FIRST = 8
"""How many turns may go on at one address at first. A stock sshd drops connections from the tenth on."""

HERE_PER_CPU, HERE_FIRST_MIN, HERE_FIRST_MAX = 16, 16, 64
"""How many turns may go on at first on this machine, for each processor, and the bounds of the sum."""

OPENING_S = 0.5
"""How long a turn without a network connection keeps other turns from beginning. Waiting costs no processor time."""

SLOW_S, SLOW_FACTOR = 2.0, 4.0
"""How long an open turn keeps others from beginning: so many seconds, or so many times the usual, if longer.

A turn beyond that bound waits for a slow device. A busy machine makes all turns slow, and so moves the bound.
"""

SHARERS_MAX = 6
"""How many open turns at most are taken to slow each other down. Silence is noticed in a crowd too."""

LOOK_S = 1.0
"""How often the first of the queue looks for a slow turn. No event tells that a turn has become slow.

The first alone: were each of thousands to look, the looks would cost more than the handshakes that they wait for.
"""


# Connectors open connections of many kinds, and only some have turns: so the asker goes by context, not by argument.
_asker: ContextVar[Asker | None] = ContextVar("asker", default=None)


class Turn:
    """Hold a device's place for a step of the way in.

    `door` is the address to connect to, or None for the start of the worker. `rank` orders the queue: devices further
    on go first, and then devices that came first. `asker` is the session to serve, if any. Times are seconds of the
    gate's clock.
    """

    __slots__ = (
        "_gate",
        "_roused",
        "asker",
        "began_at",
        "called",
        "counts_until",
        "device",
        "dismissed",
        "door",
        "entered_at",
        "opened_at",
        "own_began_s",
        "rank",
        "was_alone",
    )

    def __init__(self, gate: Gate, device: str, door: str | None, rank: tuple[int, int], entered_at: float) -> None:
        self._gate = gate
        self.asker = _asker.get()
        self.device = device
        self.door = door
        self.rank = rank
        self.entered_at = entered_at
        self.called = threading.Event()
        self._roused = threading.Event()
        self.dismissed = False
        self.was_alone = False
        self.began_at = self.counts_until = self.own_began_s = 0.0
        self.opened_at: float | None = None

    def call(self) -> None:
        """Let the turn begin, or end if it is dismissed."""
        self.called.set()
        self._roused.set()

    def rouse(self) -> None:
        """Have the waiting thread look whether the turn is the first of the queue now."""
        self._roused.set()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the turn is called or roused, for a time at most. Return whether it has been called."""
        if self._roused.wait(timeout_s):
            self._roused.clear()
        # Set before `_roused` by whoever calls: what is cleared here has been seen.
        return self.called.is_set()

    def opened(self) -> None:
        """Report the network connection as open: the device's own time runs from now on."""
        self._gate.open(self)

    def refused(self) -> bool:
        """Report the connection as dropped. Return whether no other turn went on at the same time."""
        return self._gate.refuse(self)

    def own_s(self) -> float:
        """Return the seconds of waiting that count against the device.

        A second is divided among the turns open at the same time, since open turns share processors and lines.
        """
        return self._gate.own_s(self)


class Gate:
    """Call turns, from any thread. A pickled gate becomes the gate of the process that unpickles it."""

    def __init__(self, first: int, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pace = Pace(first)
        self._doors: dict[str, Bound] = {}
        self._waiting: list[Turn] = []
        # Slow turns stay here until they are left, though they keep no other turn from beginning.
        self._under_way: list[Turn] = []
        self._looker: Turn | None = None
        self._number = 0
        self._next_slow_at = 0.0
        self._usual_s = 0.0
        self._own_s, self._own_at, self._sharers = 0.0, clock(), 1

    def __reduce__(self) -> tuple[Callable[[], Gate], tuple[()]]:
        return gate_of_this_process, ()

    @contextmanager
    def turn(self, device: str, door: str | None = None, *, stage: int = 0) -> Iterator[Turn]:
        """Wait for the device's turn. The turn ends with the block.

        `stage` is how far the device has come: the number of hosts logged in to, or ARRIVED. A turn without a door is
        open from its beginning. Raise Unreachable if the asker is dismissed in the queue.
        """
        turn = self.enter(device, door, stage)
        succeeded = False
        try:
            while not turn.wait(LOOK_S if self._looks(turn) else None):
                if self._looks(turn):
                    self.look()
            if turn.dismissed:
                raise Unreachable("closed while it waited for its turn")
            yield turn
            succeeded = True
        finally:
            self.leave(turn, succeeded)

    @contextmanager
    def asked_by(self, asker: Asker) -> Iterator[None]:
        """Count the turns of the calling thread within the block as the asker's, and the waiting too."""
        before = _asker.set(asker)
        try:
            yield
        finally:
            _asker.reset(before)

    def dismiss(self, asker: Asker) -> None:
        """Take the asker's turns out of the queue. A turn that has begun goes on."""
        # Not by the device's name: sessions of several runs may wait here for the same device.
        with self._lock:
            for turn in [turn for turn in self._waiting if turn.asker is asker]:
                self._waiting.remove(turn)
                turn.dismissed = True
                turn.call()
            self._rouse_first()

    def open(self, turn: Turn) -> None:
        """Do as `Turn.opened` says."""
        with self._lock:
            self._open(turn, self._pass_time())

    def refuse(self, turn: Turn) -> bool:
        """Do as `Turn.refused` says, and let fewer turns begin.

        The bound of the address shrinks if several turns went on there. Otherwise this machine's bound shrinks: many
        addresses may lead to one server.
        """
        with self._lock:
            now = self._pass_time()
            others = [other for other in self._counted(now) if other is not turn]
            crowded = turn.door is not None and any(other.door == turn.door for other in others)
            bound = self._doors[turn.door] if crowded and turn.door is not None else self._pace
            bound.refused(turn.began_at, now)
            return turn.was_alone and not others

    def stretched(self, timeout_s: float) -> float:
        """Return how long to wait now for what may take `timeout_s` of a device's own time."""
        with self._lock:
            self._pass_time()
            return timeout_s * self._sharers

    def own_s(self, turn: Turn) -> float:
        """Do as `Turn.own_s` says."""
        with self._lock:
            now = self._pass_time()
            return now - turn.began_at if turn.opened_at is None else self._own_s - turn.own_began_s

    def enter(self, device: str, door: str | None = None, stage: int = 0) -> Turn:
        """Queue a device, and return its turn. The turn's event `called` is set at the beginning, or on dismissal.

        The caller has to `leave` the turn in any case.
        """
        with self._lock:
            now = self._pass_time()
            # After a pause: what the machine could serve some time ago says little of now.
            if not self._under_way and not self._waiting:
                self._pace.restart(now)
            if door is not None:
                self._doors.setdefault(door, Bound(AT_ADDRESS_FIRST))
            self._number += 1
            turn = Turn(self, device, door, (-stage, self._number), now)
            insort(self._waiting, turn, key=lambda waiting: waiting.rank)
            self._call(now)
        return turn

    def leave(self, turn: Turn, succeeded: bool) -> None:
        """End a turn, or the wait for a turn, and call the turns that have room now."""
        with self._lock:
            now = self._pass_time()
            if turn.asker is not None:
                turn.asker.waited_s += self._others_s(turn, now)
            if turn in self._waiting:  # the thread was interrupted in the queue
                self._waiting.remove(turn)
                self._rouse_first()
                return
            if turn not in self._under_way:
                return
            self._under_way.remove(turn)
            if succeeded and turn.opened_at is not None:
                took_s = now - turn.opened_at
                # A moving mean, so that a machine that grows busy moves the bound of slow turns with it.
                self._usual_s += (took_s - self._usual_s) / 8 if self._usual_s else took_s
            if succeeded and self._waiting:  # with an empty queue, the limit was not what bounded the turns
                (self._pace if turn.door is None else self._doors[turn.door]).succeeded(now)
            self._call(now)

    def look(self) -> None:
        """Call the turns with room since another turn became slow."""
        with self._lock:
            now = self._pass_time()
            if now >= self._next_slow_at:
                self._call(now)

    def _call(self, now: float) -> None:
        """Begin turns in the order of the queue while there is room. Pass over turns at a full address."""
        counted = self._counted(now)
        room = self._pace.limit - len(counted)
        at_door = Counter(turn.door for turn in counted)
        called: list[Turn] = []
        for turn in self._waiting:
            if len(called) >= room:
                break
            if turn.door is None or at_door[turn.door] < self._doors[turn.door].limit:
                at_door[turn.door] += 1
                called.append(turn)
        for turn in called:
            self._waiting.remove(turn)
            turn.was_alone = not counted and len(called) == 1
            # Until the connection is open, the turn counts for a moment only: a device that is off costs nothing here.
            turn.began_at, turn.counts_until = now, now + OPENING_S
            self._under_way.append(turn)
            if turn.door is None:
                self._open(turn, now)
            turn.call()
        self._rouse_first()
        ends = [turn.counts_until for turn in self._under_way if turn.counts_until > now]
        self._next_slow_at = min(ends, default=now)

    def _looks(self, turn: Turn) -> bool:
        """Say whether a waiting turn is the one that looks for slow turns."""
        with self._lock:
            return turn is self._looker

    def _rouse_first(self) -> None:
        """Have the first of the queue look from now on, in the place of the one before."""
        first = self._waiting[0] if self._waiting else None
        if first is not None and first is not self._looker:
            first.rouse()
        self._looker = first

    def _open(self, turn: Turn, now: float) -> None:
        turn.opened_at, turn.own_began_s = now, self._own_s
        turn.counts_until = now + max(SLOW_S, SLOW_FACTOR * self._usual_s)

    def _others_s(self, turn: Turn, now: float) -> float:
        """Return the seconds taken by other turns since the request of the turn: the queue, and shared seconds."""
        if turn not in self._under_way:
            # Never called: the whole wait was the queue.
            return now - turn.entered_at
        shared_s = 0.0 if turn.opened_at is None else now - turn.opened_at - (self._own_s - turn.own_began_s)
        return turn.began_at - turn.entered_at + shared_s

    def _counted(self, now: float) -> list[Turn]:
        """Return the turns in the way of other turns: all but slow turns."""
        return [turn for turn in self._under_way if now < turn.counts_until]

    def _pass_time(self) -> float:
        """Advance the devices' own time to now, divided by the number of open turns. Return now."""
        now = self._clock()
        opened = sum(turn.opened_at is not None for turn in self._counted(now))
        self._sharers = min(max(opened, 1), SHARERS_MAX)
        self._own_s += (now - self._own_at) / self._sharers
        self._own_at = now
        return now


@cache
def gate_of_this_process() -> Gate:
    """Return the gate of all connections of this process."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Gate(min(max(HERE_PER_CPU * usable, HERE_FIRST_MIN), HERE_FIRST_MAX))
