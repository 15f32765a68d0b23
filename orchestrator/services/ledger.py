"""Write down what becomes of the devices of one run: what their logs say, and where each stands.

Everything that a driver writes after its plans goes through here, under the lease that it has of the device. Once
another controller has taken the device over, the database refuses it, and the device is left to that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.domain.conversation import Close, RecordsArrived
from orchestrator.domain.errors import CorruptLog, DeviceError, LeaseLost, OrchestratorError
from orchestrator.domain.run import DeviceRunState, Standing
from orchestrator.services.device_leases import DeviceLeases
from orchestrator.services.driver_parts import DriverParts, Part

ENDED = (DeviceRunState.COMPLETE, DeviceRunState.CANCELLED)

LEFT_HINT = "the run is complete; what may be left of it there, benchfleet devices clean removes"


class Ledger:
    """The accounts of one run; `parts` is shared with the driver, who adds devices to it."""

    def __init__(self, run: str, parts: Mapping[str, Part], of_driver: DriverParts, leases: DeviceLeases) -> None:
        self._run = run
        self._leases = leases
        self._parts = parts
        self._store = of_driver.store
        self._display = of_driver.display
        self._executor = of_driver.executor

    def commit(self, reports: Sequence[RecordsArrived]) -> None:
        """Store records and show what they changed; a log that cannot be stored fails its device alone."""
        batch = _joined(reports)
        while batch := [report for report in batch if not self._parts[report.device].ended]:
            try:
                ingested = self._store.ingest(batch, self._leases.ids)
            except LeaseLost as lost:
                self.give_up(self._parts[lost.device], lost)
                continue
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

    def refuse(self, part: Part, error: DeviceError) -> None:
        """Leave a device that never was ours: a run that it may be at already goes on, any other has failed."""
        part.ended = True
        self.lose(part, error)

    def ended_elsewhere(self, part: Part) -> bool:
        """Leave a device whose run was completed or cancelled while this driver queued for it; say whether it was."""
        if part.queued_as in (None, *ENDED) or self.standing(part).state not in ENDED:
            return False
        part.ended = True
        part.outcome = self.standing(part).state
        name = part.device.name
        message = f"{name}: the run became {part.outcome.value} elsewhere, while this command queued for it"
        self._display.device_ended(name, part.outcome, message, None)
        return True

    def cancelled_elsewhere(self, part: Part) -> bool:
        """Leave a device whose run was cancelled since this driver took it up; say whether it was."""
        if part.was_cancelled or self.standing(part).state is not DeviceRunState.CANCELLED:
            return False
        part.ended = True
        part.outcome = DeviceRunState.CANCELLED
        name = part.device.name
        self._display.device_ended(name, part.outcome, f"{name}: the run was cancelled elsewhere", None)
        if part.launched:
            self._executor.post(name, Close())
        return True

    def give_up(self, part: Part, lost: LeaseLost) -> None:
        """Leave a device to the controller that has it by now; nothing more is written of it."""
        part.ended = part.taken_over = True
        part.outcome = self.standing(part).state
        self._leases.end(part.device.name)
        self._display.device_ended(part.device.name, part.outcome, str(lost), lost.hint)
        if part.launched:
            self._executor.post(part.device.name, Close())

    def end(self, part: Part, state: DeviceRunState, error: str | None = None, hint: str | None = None) -> None:
        """Leave a device: nothing more is expected of it."""
        part.ended = True
        self._record(part, state, error, hint)
        self._executor.post(part.device.name, Close())

    def lose(self, part: Part, error: DeviceError) -> None:
        """Record that a device is out of reach; one that was running goes on by itself, and resume finds it again."""
        state = self.standing(part).state
        if state is DeviceRunState.COMPLETE:  # only the log that may have stayed there was wanted
            part.outcome = state
            self.left_behind(part, error)
            return
        if state is DeviceRunState.PLANNED:
            state = DeviceRunState.RUNNING if part.started else DeviceRunState.FAILED
        self._record(part, state, str(error), error.hint)

    def left_behind(self, part: Part, error: DeviceError) -> None:
        """Say why a device that is done with its run may keep some of it on its disk."""
        name = part.device.name
        self._display.warned(name, str(error).removeprefix(f"{name}: "), LEFT_HINT)

    def cancelled(self, part: Part) -> Standing:
        """Return how a device stands of which no runner is left: cancelled, whatever stopped it, unless complete."""
        known = self.standing(part)
        if known.state in ENDED:
            return known
        self._write(part, DeviceRunState.CANCELLED, None, None)
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
        try:
            self._write(part, state, error, hint)
        except LeaseLost as lost:
            self.give_up(part, lost)
            return
        part.outcome = state
        self._display.device_ended(part.device.name, state, error, hint)

    def _write(self, part: Part, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        self._store.set_device_state(self._run, part.device.name, state, error, hint, leases=self._leases.ids)


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
