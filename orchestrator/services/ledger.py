"""Write down what becomes of the devices of one run: what their logs say, and where each stands.

Everything that a driver writes after its plans goes through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.domain.conversation import Close, RecordsArrived
from orchestrator.domain.errors import CorruptLog, DeviceError, OrchestratorError
from orchestrator.domain.run import DeviceRunState, Standing
from orchestrator.services.driver_parts import DriverParts, Part

ENDED = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)


class Ledger:
    """The accounts of one run; `parts` is shared with the driver, who adds devices to it."""

    def __init__(self, run: str, parts: Mapping[str, Part], of_driver: DriverParts) -> None:
        self._run = run
        self._parts = parts
        self._store = of_driver.store
        self._display = of_driver.display
        self._executor = of_driver.executor

    def commit(self, reports: Sequence[RecordsArrived]) -> None:
        """Store records and show what they changed; a log that cannot be stored fails its device alone."""
        batch = _joined(reports)
        while batch := [report for report in batch if not self._parts[report.device].ended]:
            try:
                ingested = self._store.ingest(batch)
            except CorruptLog as error:
                self.fail(self._parts[error.device], error)
                continue
            for result in ingested:
                for change in result.changes:
                    self._display.changed(change)
            return

    def standing(self, part: Part) -> Standing:
        """Return where a device stands."""
        return self._store.standing(self._run, part.device.name)

    def collected(self, part: Part, known: Standing) -> None:
        """Show how a device ended whose whole log is stored."""
        self._display.device_ended(part.device.name, known.state, known.error, known.hint)
        part.outcome = known.state

    def fail(self, part: Part, error: OrchestratorError) -> None:
        """Leave a device that cannot be used."""
        self.end(part, DeviceRunState.FAILED, str(error), error.hint)

    def end(self, part: Part, state: DeviceRunState, error: str | None = None, hint: str | None = None) -> None:
        """Leave a device: nothing more is expected of it."""
        part.ended = True
        self._record(part, state, error, hint)
        self._executor.post(part.device.name, Close())

    def lose(self, part: Part, error: DeviceError) -> None:
        """Record that a device is out of reach; one that was running goes on by itself, and resume finds it again."""
        state = self.standing(part).state
        if state is DeviceRunState.PLANNED:
            state = DeviceRunState.RUNNING if part.started else DeviceRunState.FAILED
        self._record(part, state, str(error), error.hint)

    def cancelled(self, part: Part) -> Standing:
        """Return how a device stands of which no runner is left: cancelled, whatever stopped it, unless complete."""
        known = self.standing(part)
        if known.state in ENDED:
            return known
        self._store.set_device_state(self._run, part.device.name, DeviceRunState.CANCELLED)
        return Standing(DeviceRunState.CANCELLED, None, None)

    def not_cancelled(self, part: Part, error: DeviceError) -> None:
        """Take a device that did not answer for cancelled only if it never had a plan; else its runner may live on."""
        if self._store.plan_document(self._run, part.device.name) is None:
            self._record(part, DeviceRunState.CANCELLED, None, None)
            return
        hint = f"when the device answers again: benchfleet runs cancel {self._run}"
        hint = f"{error.hint}; {hint}" if error.hint else hint
        self._record(part, self.standing(part).state, f"{error}; the run may go on there", hint)

    def _record(self, part: Part, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        part.outcome = state
        self._store.set_device_state(self._run, part.device.name, state, error, hint)
        self._display.device_ended(part.device.name, state, error, hint)


def _joined(batch: Sequence[RecordsArrived]) -> list[RecordsArrived]:
    """Join reports that continue each other: most of a commit's cost is per report, not per record."""
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
