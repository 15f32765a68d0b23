"""Write and show the fate of the devices of a run: logs, ends, and rungs of the recovery ladder.

All writes of a driver but its plans go through here, under the driver's lease of the device. After a take-over the
database refuses the write with LeaseLost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.domain.conversation import RecordsArrived, Step
from orchestrator.domain.errors import CorruptLog, LeaseLost
from orchestrator.domain.recovery import Rung
from orchestrator.domain.run import PreparedRecords, TrialChange
from orchestrator.driving.invalid_streak import InvalidStreaks
from orchestrator.driving.leases import DeviceLeases
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.part import DevicePart
from orchestrator.driving.stages.recovery import readmit_hint
from orchestrator.driving.tools import DriverTools, Handler


@dataclass(frozen=True, slots=True)
class Left:
    """Hold records still to be stored. `is_long`: a long record stands first."""

    report: RecordsArrived
    is_long: bool


class Records:
    """Write the rows of a run, and tell the display. `note_stored` hears how many bytes of a device are stored."""

    def __init__(
        self, run: str, tools: DriverTools, leases: DeviceLeases, note_stored: Callable[[str, int], None]
    ) -> None:
        self._run = run
        self._leases = leases
        self._note_stored = note_stored
        self._store = tools.store
        self._display = tools.display
        self._holder = tools.identity.holder
        self._streaks = InvalidStreaks()
        self._open_rungs: dict[str, int] = {}  # ids of events, by device
        self.handlers: Mapping[type[Any], Handler] = {
            o.Record: self._record,
            o.ShowEnd: self._show_end,
            o.ShowStep: lambda part, order: self._display.step(part.name, order.step, order.detail),
            o.Warn: lambda part, order: self._display.warned(part.name, order.message, order.hint),
            o.BeginRung: self._begin_rung,
            o.EndRung: self._end_rung,
            o.NoteRung: self._note_rung,
            o.SetQuarantine: self._quarantine,
        }

    def commit(self, reports: Sequence[RecordsArrived], left: list[Left]) -> Iterator[LeaseLost | CorruptLog]:
        """Store short records in a single transaction, and show the changes. Yield an error for each refused device.

        The next try leaves out the records of the refused device. `left` gets the records still to be stored.
        """
        batch = _joined(reports)
        while batch:
            try:
                ingested = self._store.logs.ingest(batch, self._leases.ids, short_only=True)
            except (LeaseLost, CorruptLog) as error:
                # Nothing of the transaction is stored: the other devices' records are tried again without this device.
                yield error
                batch = [report for report in batch if report.device != error.device]
                continue
            last = {(report.device, report.log_id): report for report in batch}
            for result in ingested:
                self._show_changes(result.changes)
                if result.left:
                    report = last[result.device, result.offset.log_id or ""]
                    left.append(Left(replace(report, lines=result.left), result.left_is_long))
            for rest in left:  # first, so that no session is told of more than is stored
                self._note_stored(rest.report.device, -len(rest.report.lines))
            for report in batch:
                self._note_stored(report.device, len(report.lines))
            return

    def commit_prepared(self, report: RecordsArrived, prepared: PreparedRecords) -> LeaseLost | CorruptLog | None:
        """Store the prepared records of a report, and show the changes. Return the error of a refusal."""
        try:
            ingested = self._store.logs.ingest_prepared(prepared, self._leases.ids)
        except (LeaseLost, CorruptLog) as error:
            return error
        self._show_changes(ingested.changes)
        self._note_stored(report.device, len(report.lines))
        return None

    def _show_changes(self, changes: Sequence[TrialChange]) -> None:
        for change in changes:
            self._display.changed(change)
            concern = self._streaks.hear(change)
            if concern is not None:
                self._display.warned(change.device, concern.message, concern.hint)

    def _record(self, part: DevicePart, order: o.Record) -> None:
        leases = self._leases.ids
        # Written before it is shown: the database may refuse, and then the end is another controller's to tell.
        self._store.runs.set_device_state(self._run, part.name, order.state, order.error, order.hint, leases=leases)
        self._display.device_ended(part.name, order.state, order.error, order.hint)

    def _show_end(self, part: DevicePart, order: o.ShowEnd) -> None:
        self._display.device_ended(part.name, order.state, order.error, order.hint)

    def _begin_rung(self, part: DevicePart, order: o.BeginRung) -> None:
        self._open_rungs[part.name] = self._begin(part, order.rung, order.reason)

    def _end_rung(self, part: DevicePart, order: o.EndRung) -> None:
        self._store.recovery.end_rung(self._open_rungs.pop(part.name), order.succeeded, order.turned_out)

    def _note_rung(self, part: DevicePart, order: o.NoteRung) -> None:
        # A retry or reconnection touches nothing, and is written once it is over, with its true beginning.
        event = self._begin(part, order.rung, order.reason, order.took_s)
        self._store.recovery.end_rung(event, order.succeeded)

    def _quarantine(self, part: DevicePart, order: o.SetQuarantine) -> None:
        event = self._begin(part, Rung.QUARANTINE, order.reason)
        # Between begin and end: a controller that dies here leaves a rung without an end, which says so.
        made = self._store.recovery.quarantine(part.device, order.reason, self._holder, self._run)
        self._store.recovery.end_rung(event, succeeded=True)
        self._display.warned(part.name, "it is in quarantine now", readmit_hint(made))

    def _begin(self, part: DevicePart, rung: Rung, reason: str, ago_s: float = 0.0) -> int:
        leases = self._leases.ids
        event = self._store.recovery.begin_rung(self._run, part.name, rung, reason, ago_s=ago_s, leases=leases)
        self._display.step(part.name, Step.RECOVER, f"{rung.value}: {reason}" if reason else rung.value)
        return event


def _joined(batch: Sequence[RecordsArrived]) -> list[RecordsArrived]:
    """Join reports continuing each other: a commit costs mostly by the number of reports."""
    joined: dict[tuple[str, str], RecordsArrived] = {}
    done: list[RecordsArrived] = []
    for report in batch:
        key = (report.device, report.log_id)
        before = joined.get(key)
        if before is not None and before.last_seq + 1 == report.first_seq:
            report = replace(before, last_seq=report.last_seq, lines=before.lines + report.lines)
        elif before is not None:
            done.append(before)
        joined[key] = report
    return [*done, *joined.values()]
