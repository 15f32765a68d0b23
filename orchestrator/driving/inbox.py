"""Collect the reports of all sessions: urgent reports at once, the others in company."""

from __future__ import annotations

import math
import queue
import time
from typing import Generic, TypeVar

from orchestrator.domain.conversation import FollowEnded, RecordsArrived, SessionEnded, SessionReport

DELAY_S = 0.25
DELAY_S_MAX = 2.0
DEVICES_PER_DELAY = 5
"""For each `DEVICES_PER_DELAY` devices, records wait `DELAY_S` longer: more records then share a transaction."""
END_DELAY_PART = 0.1
"""The end of a log waits this part of the records' delay; once every device has come to an end, no longer."""

PATIENT = (RecordsArrived, FollowEnded, SessionEnded)
"""Kinds of reports that wait for company. A device waits for the answer to every other report."""

Note = TypeVar("Note")


class Inbox(Generic[Note]):
    """Hold reports of sessions, and notes of the driver to the driver. `put` is safe from any thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[SessionReport | Note] = queue.SimpleQueue()
        self.put = self._queue.put
        self._waiting: list[SessionReport] = []
        self._ends: set[str] = set()  # devices whose log or session has ended, among those that wait here
        self._due = math.inf
        self._delay_s = DELAY_S

    def expect(self, devices: int) -> None:
        """Set the delay of records by the number of devices."""
        self._delay_s = min(DELAY_S * max(1, devices // DEVICES_PER_DELAY), DELAY_S_MAX)

    def take(
        self, at_most_s: float | None = None, going_on: int | None = None
    ) -> tuple[list[SessionReport | Note], list[SessionReport]]:
        """Return the urgent reports, and the patient reports after their delay, after a wait of at most `at_most_s`.

        Both are in the order of arrival. `going_on`: the number of devices without an end yet. Once as many ends wait
        here, no company is to come.
        """
        urgent: list[SessionReport | Note] = []
        for arrived in self._arrived(at_most_s):
            if isinstance(arrived, SessionReport) and isinstance(arrived.report, PATIENT):
                self._waiting.append(arrived)
                self._due = min(self._due, time.monotonic() + self._patience_s(arrived))
                if not isinstance(arrived.report, RecordsArrived):
                    self._ends.add(arrived.session.device)
            else:
                urgent.append(arrived)
        # The last devices of a run end together: a delay would only keep whoever waits for the result.
        if self._ends and len(self._ends) == going_on:
            self._due = -math.inf
        if time.monotonic() < self._due:
            return urgent, []
        due, self._waiting, self._due = self._waiting, [], math.inf
        self._ends.clear()
        return urgent, due

    def _arrived(self, at_most_s: float | None) -> list[SessionReport | Note]:
        # Woken when the delay of the first waiting report is over, though nothing new may have come.
        wait_s = max(self._due - time.monotonic(), 0.0) if self._waiting else None
        if at_most_s is not None:
            wait_s = at_most_s if wait_s is None else min(wait_s, at_most_s)
        arrived: list[SessionReport | Note] = []
        try:
            arrived.append(self._queue.get(timeout=wait_s))
            while True:
                arrived.append(self._queue.get_nowait())
        except queue.Empty:
            return arrived

    def _patience_s(self, arrived: SessionReport) -> float:
        match arrived.report:
            case RecordsArrived():
                return self._delay_s
            case FollowEnded():
                return self._delay_s * END_DELAY_PART
            case _:
                return 0.0
