"""Collect what all sessions report: what wants an answer at once, what can wait for company together."""

from __future__ import annotations

import math
import queue
import time
from typing import Generic, TypeVar

from orchestrator.domain.conversation import (
    Cleaned,
    FactsReported,
    FollowEnded,
    RecordsArrived,
    RungClimbed,
    RunnerStarted,
    SessionEnded,
    StepBegan,
    StockTaken,
)

DELAY_S = 0.25
DELAY_S_MAX = 2.0
DEVICES_PER_DELAY = 5
"""Records wait this much longer for company per so many devices: what many devices send at once costs less."""
END_DELAY_PART = 0.1
"""The end of a log waits this part of that, unless nobody else goes on."""

Patient = RecordsArrived | FollowEnded | SessionEnded
Urgent = StepBegan | FactsReported | RunnerStarted | StockTaken | Cleaned | RungClimbed
Own = TypeVar("Own")


class Inbox(Generic[Own]):
    """What sessions report, and what the driver tells itself (`Own`, urgent too); `put` is safe from any thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Patient | Urgent | Own] = queue.SimpleQueue()
        self.put = self._queue.put
        self._waiting: list[Patient] = []
        self._due = math.inf
        self._delay_s = DELAY_S

    def expect(self, devices: int) -> None:
        """Let records of so many devices wait for each other."""
        self._delay_s = min(DELAY_S * max(1, devices // DEVICES_PER_DELAY), DELAY_S_MAX)

    def take(
        self, at_most_s: float | None = None, going_on: int | None = None
    ) -> tuple[list[Urgent | Own], list[Patient]]:
        """Wait for something to do, or so long; return what is urgent, and what has waited enough, each in order.

        `going_on` is how many devices have not ended yet: once so many ends wait here, there is nobody to wait for.
        """
        urgent: list[Urgent | Own] = []
        for report in self._arrived(at_most_s):
            if isinstance(report, RecordsArrived | FollowEnded | SessionEnded):
                self._waiting.append(report)
                self._due = min(self._due, time.monotonic() + self._patience_s(report))
            else:
                urgent.append(report)
        ends = {report.device for report in self._waiting if not isinstance(report, RecordsArrived)}
        if ends and len(ends) == going_on:
            self._due = -math.inf
        if time.monotonic() < self._due:
            return urgent, []
        due, self._waiting, self._due = self._waiting, [], math.inf
        return urgent, due

    def _arrived(self, at_most_s: float | None) -> list[Patient | Urgent | Own]:
        wait_s = max(self._due - time.monotonic(), 0.0) if self._waiting else None
        if at_most_s is not None:
            wait_s = at_most_s if wait_s is None else min(wait_s, at_most_s)
        arrived: list[Patient | Urgent | Own] = []
        try:
            arrived.append(self._queue.get(timeout=wait_s))
            while True:
                arrived.append(self._queue.get_nowait())
        except queue.Empty:
            return arrived

    def _patience_s(self, report: Patient) -> float:
        match report:
            case RecordsArrived():
                return self._delay_s
            case FollowEnded():
                return self._delay_s * END_DELAY_PART
            case _:
                return 0.0
