"""Carry a timetable out in a lab, wait for the end of everything, and gather what is known of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.chaos.checker import Verdict, judge
from tests.chaos.evidence import gather
from tests.endurance.books import keep_books, selected
from tests.endurance.checker import Wanted, Wrongs, judge_service
from tests.endurance.room import DAEMONS, Room
from tests.endurance.strikes import Striker
from tests.endurance.timeline import Timeline
from tests.endurance.timetable import (
    NEEDED,
    TRIALS_S,
    Kind,
    Overtake,
    Strike,
    Submit,
    Timetable,
)
from tests.endurance.watcher import Watcher
from tests.servers import processes

_TICK_S = 0.5
_QUIET_S = 10.0
"""No schedule is due for so long when all of them are paused: no moment falls between a pause and its firing."""
_SETTLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Account:
    """What became of a timetable. `unstruck` are the faults that found nothing to strike, and `unfinished` is why."""

    trials: int
    submissions: int
    moments: int
    gave_way: int
    verdict: Verdict
    wrongs: Wrongs
    unstruck: tuple[str, ...]
    unfinished: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Return True if nothing was lost, and everything that was to happen has happened."""
        return self.verdict.is_clean and not (self.wrongs.lines or self.unstruck or self.unfinished)


@dataclass
class Drive:
    """One timetable in one room. `drain_s` is how long the queue may take to be empty after the last event."""

    room: Room
    timetable: Timetable
    timeline: Timeline
    drain_s: float
    wanted: list[Wanted] = field(default_factory=list)
    _waiting: list[Strike | Overtake] = field(default_factory=list)
    _heals: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _runs: dict[str, str] = field(default_factory=dict)
    _unfinished: list[str] = field(default_factory=list)
    _pause: threading.Event = field(default_factory=threading.Event)

    def execute(self) -> Account:
        """Let everything happen, and judge it."""
        self.watcher = Watcher(self.room.database, self.timeline)
        self.striker = Striker(self.room, self.timeline, self.watcher, random.Random(self.timetable.seed), self._submit)
        self.watcher.begin()
        try:
            self._play()
            paused_at = self._pause_schedules()
            self._drain()
        finally:
            self._heal(everything=True)
            self.watcher.end()
        shares = self._shares()
        self._stop()
        return self._judge(paused_at, shares)

    # While it happens.

    def _play(self) -> None:
        for regular in self.timetable.regulars:
            self.room.add_schedule(regular)
            self.timeline.tell(f"{regular.person} adds the schedule {regular.name}: {regular.cron} {regular.zone}")
        events = self.timetable.events
        began_s, end_s = self.timeline.now_s, self.timetable.minutes * 60
        while (now_s := self.timeline.now_s - began_s) < end_s:
            # People wait for a database that is away, too.
            while events and events[0].at_s <= now_s and not self.room.server.is_stopped:
                self._begin(events.pop(0))
            self._tick()
        self._heal(everything=True)
        # What was late because commands took their time is not left out.
        for event in events:
            self._begin(event)

    def _begin(self, event: Submit | Overtake | Strike) -> None:
        match event:
            case Submit():
                self._submit(event)
            case Overtake():
                urgent = event.urgent
                self._submit(Submit(event.at_s, event.patient, "anna", Kind.PATIENT, urgent.select, -1))
                self._waiting.append(event)
            case Strike():
                self._waiting.append(event)

    def _tick(self) -> None:
        """Do what has become possible, and wait a moment."""
        self._heal()
        if self.room.server.is_stopped:
            self._pause.wait(_TICK_S)
            return
        # While one fault lasts no other one strikes: it is told which of them was survived.
        for event in self._waiting[:]:
            if isinstance(event, Overtake):
                if self.striker.is_patient_at_work(self._runs[event.patient]):
                    self._waiting.remove(event)
                    self._submit(event.urgent)
            elif not self._heals and self.striker.is_ready(event):
                heal = self.striker.strike(event)
                if heal is not None:
                    self._waiting.remove(event)
                    self._heals.append((self.timeline.now_s + event.lasts_s, heal))
        for number in range(DAEMONS):
            if not self._heals and self.room.has_daemon_ended(number):
                self._unfinished.append(f"daemon {number} ended by itself")
                self.room.start_daemon(number)
        self._pause.wait(_TICK_S)

    def _heal(self, *, everything: bool = False) -> None:
        for at_s, heal in self._heals[:]:
            if everything or at_s <= self.timeline.now_s:
                heal()
                self._heals.remove((at_s, heal))

    def _submit(self, event: Submit) -> None:
        """Submit for a person, and keep what the person was told."""
        made = self.room.submit(event)
        self._runs[event.name] = made["run"]
        self.timeline.tell(f"{event.person} submits {made['run']} {event.name}, priority {event.priority}")
        devices: tuple[str, ...] | int = NEEDED if event.kind is Kind.NEEDY else selected(event.select)
        trials = len(TRIALS_S[event.kind])
        self.wanted.append(Wanted(made["run"], event.name, event.person, devices, trials, event.window))

    # At the end.

    def _pause_schedules(self) -> datetime:
        """Pause every schedule while none is due, and return when that was."""
        soon = f"SELECT 1 FROM schedule WHERE fires_at <= now() + INTERVAL '{_QUIET_S} s'"
        self._heal(everything=True)
        self._until(lambda: not self.room.database.rows(soon), "no schedule is due", 120)
        for regular in self.timetable.regulars:
            self.room.ask("schedule", "pause", regular.name)
        ((now,),) = self.room.database.rows("SELECT now()")
        self.timeline.tell("all schedules are paused")
        assert isinstance(now, datetime)
        return now

    def _drain(self) -> None:
        is_open = "SELECT 1 FROM submission WHERE state IN ('waiting', 'running', 'held')"
        self._until(
            lambda: not self._waiting and not self.room.database.rows(is_open), "the queue is empty", self.drain_s
        )
        self.timeline.tell("the queue is empty")

    def _until(self, holds: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Go on until something holds. What never comes is told in the verdict."""
        last_s = self.timeline.now_s + timeout_s
        while self._heals or not holds():
            if self.timeline.now_s > last_s:
                self._unfinished.append(f"waited {timeout_s} s until: {what}")
                return
            self._tick()

    def _shares(self) -> dict[str, Any]:
        found: dict[str, Any] = self.room.ask("queue", "list")
        self.timeline.tell(
            "shares: " + ", ".join(f"{who} {seconds:.0f} s" for who, seconds in sorted(found["share_s"].items()))
        )
        return found

    def _stop(self) -> None:
        codes = self.room.stop_daemons()
        self.timeline.tell(f"daemons are stopped, exit {' and '.join(map(str, codes))}")
        self._unfinished += [f"a daemon that was stopped ended with {code}" for code in codes if code]

        def idle() -> bool:
            return not any(device.left_running() for device in self.room.devices.values())

        try:
            processes.wait_until(idle, "the devices are idle", _SETTLE_S)
        except TimeoutError as error:
            self.timeline.tell(str(error))

    def _judge(self, paused_at: datetime, shares: dict[str, Any]) -> Account:
        evidence = gather([self.room.database], list(self.room.devices.values()), [])
        books = keep_books(self.room, self.timetable, self.wanted, self.watcher, paused_at, shares, evidence)
        gave_way = len(self.watcher.gave_way)
        unstruck = [
            event.fault if isinstance(event, Strike) else f"{event.urgent.name} found nothing to overtake"
            for event in self._waiting
        ]
        unstruck += [] if gave_way else ["no run gave way"]
        if not books.fired:
            unstruck.append("no schedule fired")
        return Account(
            trials=sum(row.counted for row in evidence.attempts),
            submissions=len(books.told),
            moments=sum(len(one.due) for one in books.moments),
            gave_way=gave_way,
            verdict=judge(evidence),
            wrongs=judge_service(books),
            unstruck=tuple(map(str, unstruck)),
            unfinished=tuple(self._unfinished),
        )
