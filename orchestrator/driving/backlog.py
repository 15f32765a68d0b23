"""Hold back the reports behind a long record: the records of a device must not hold up the other devices.

A step stores the short records of all devices in a single transaction. Long records are read in turn, a single record
at a time, and each is stored in a separate transaction. Reports of a device keep their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from orchestrator.domain.conversation import RecordsArrived, SessionReport


class Backlog:
    """Hold the reports of devices with unstored records, in order."""

    def __init__(self) -> None:
        self._held: dict[str, deque[SessionReport]] = {}
        self._long: dict[str, None] = {}  # the devices whose first report begins with a long record, in turn
        self._taken: str | None = None  # the device whose long record is being read

    def __bool__(self) -> bool:
        """Return True if a report can be handled now."""
        return bool(self._ready()) or (self._taken is None and bool(self._long))

    def __contains__(self, device: str) -> bool:
        return device in self._held or device == self._taken

    def admit(self, due: Sequence[SessionReport]) -> list[SessionReport]:
        """Return the reports to handle now: due reports, and reports held back without a long record at the beginning.

        A due report of a device before its turn is held back as well.
        """
        admitted = [report for name in self._ready() for report in self._held.pop(name)]
        for report in due:
            name = report.session.device
            (self._held.setdefault(name, deque()) if name in self else admitted).append(report)
        return admitted

    def _ready(self) -> list[str]:
        return [name for name in self._held if name not in self._long and name != self._taken]

    def hold(self, report: SessionReport, *, is_long: bool = False) -> None:
        """Hold back a report behind the reports of the device held already. `is_long`: a long record stands first."""
        name = report.session.device
        if is_long and name not in self._held:
            self._long[name] = None
        self._held.setdefault(name, deque()).append(report)

    def take_long(self) -> SessionReport | None:
        """Return the long record of the device in turn, as a separate report, or None without a long record.

        No other long record is returned, and the device's reports are held back, until `give_back`.
        """
        if not self._long or self._taken is not None:
            return None
        self._taken = name = next(iter(self._long))
        del self._long[name]
        held = self._held[name]
        first = held.popleft()
        assert isinstance(first.report, RecordsArrived)
        lines = first.report.lines
        end = lines.find(b"\n") + 1 or len(lines)
        if end < len(lines):
            held.appendleft(replace(first, report=replace(first.report, lines=lines[end:])))
        if not held:
            del self._held[name]
        return replace(first, report=replace(first.report, lines=lines[:end]))

    def give_back(self) -> None:
        """Say that the last long record taken is stored, or of no use any more."""
        self._taken = None
