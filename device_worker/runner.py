"""Execute a device plan, one attempt after the other, with the event log as the only memory."""

from __future__ import annotations

import errno
import os
import sys

from device_worker import conditions
from device_worker.errors import is_disk_full
from device_worker.failures import failure
from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.vocabulary import Event, Failure, Invalid, Outcome, RunOutcome, TrialKind
from device_worker.reserve import RECORD_BYTES, Reserve, log_bytes, result_bytes
from device_worker.runner_log import log, log_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.attempt import AttemptResult, Bench
    from device_worker.containment import Containment
    from device_worker.event_log import EventLog
    from device_worker.plan import Plan
    from device_worker.process_identity import ProcessIdentity
    from device_worker.progress import Progress, Step
    from device_worker.runner_start import StartRequest
    from device_worker.state_dir import RunDir
    from device_worker.wakeups import SignalWakeups

_COOLDOWN_POLL_S = 0.5


class Runner:
    """A runner that holds the device's lock and its run's log."""

    def __init__(self, run_dir: RunDir, plan: Plan, progress: Progress, event_log: EventLog, wake_fd: int) -> None:
        self._run_dir = run_dir
        self._reserve = Reserve(run_dir.reserve)
        self._plan = plan
        self._progress = progress
        self._log = event_log
        self._wake_fd = wake_fd
        self._throttle = conditions.ThrottleSensor()

    def append(self, kind: str, **fields: Any) -> None:
        """Append an event, take it into account, and wake whoever follows."""
        self._progress.apply(self._log.append(kind, **fields))
        try:
            os.write(self._wake_fd, b".")
        except BlockingIOError:  # nobody has read the last 65536 wake-ups
            pass

    def reserve_room(self) -> None:
        """Take up the room that the rest of the log will need, or raise WorkerError with the figures."""
        self._reserve.lay(log_bytes(self._plan, self._progress.waiting()))

    def begin(self, request: StartRequest, identity: ProcessIdentity) -> None:
        """Open the log, if it is new, and say in it who goes on from here."""
        if self._log.log_id is None:
            self.append(
                Event.LOG_OPENED,
                log_id=os.urandom(16).hex(),
                protocol=PROTOCOL_VERSION,
                run=self._run_dir.run,
                device=self._plan.device,
                plan_sha256=request.plan_sha256,
                worker_sha256=request.worker_sha256,
            )
        python = ".".join(map(str, sys.version_info[:3]))
        skip = len(request.skip)
        self.append(Event.RUNNER_STARTED, boot_id=identity.boot_id, pid=identity.pid, python=python, skip=skip)

    def execute(self, bench: Bench, wakeups: SignalWakeups, containment: Containment) -> None:
        """Run to the end of the plan, or until cancelled, stopped or out of disk space."""
        try:
            self._execute_steps(bench, wakeups, containment)
        except OSError as error:
            if error.errno == errno.EROFS:  # nothing can be recorded: those who follow are told by the file system
                log(f"nothing can be written any more: {error}")
                return
            if not is_disk_full(error):
                raise
            log(f"the disk is full: {error}")
            self._finish(RunOutcome.DISK_FULL)

    def _execute_steps(self, bench: Bench, wakeups: SignalWakeups, containment: Containment) -> None:
        while not (wakeups.is_stopping or self._is_cancelled):
            step = self._progress.next_step()
            if step is None:
                self._finish(RunOutcome.COMPLETE)
                return
            if step.lost:
                self._give_up(step)
            elif step.skip_reason is not None:
                self._skip(step)
            else:
                self._attempt(step, bench, wakeups, containment)
        if self._is_cancelled:
            self._finish(RunOutcome.CANCELLED)

    def _finish(self, outcome: str) -> None:
        """End the log; nothing more needs the room that was kept for it."""
        self._reserve.release()
        self.append(Event.RUN_FINISHED, outcome=outcome)

    @property
    def _is_cancelled(self) -> bool:
        """Whether somebody asked for the end of this run: a SIGTERM alone may be a device that shuts down."""
        return os.path.exists(self._run_dir.cancel)

    def _skip(self, step: Step) -> None:
        self.append(Event.TRIAL_SKIPPED, trial=step.trial["trial"], job=step.trial["job"], reason=step.skip_reason)

    def _give_up(self, step: Step) -> None:
        """Fail the last attempt at a trial that took its runner down each time, so that the others get their turn."""
        from device_worker.attempt import AttemptResult

        words = f"{step.lost} times the runner ended, or the device went down, in the middle of this trial"
        now = conditions.read_conditions(self._throttle)
        identity = {"trial": step.trial["trial"], "job": step.trial["job"], "attempt": step.attempt}
        fields = dict(identity, conditions=now, conditions_before=None, duration_ns=None, invalid=[])
        self._reserve.give_back(RECORD_BYTES)
        self._append_result(fields, AttemptResult(failure(Failure.RUNNER_DIED, words)))

    def _attempt(self, step: Step, bench: Bench, wakeups: SignalWakeups, containment: Containment) -> None:
        if step.trial["kind"] == TrialKind.MEASURE and (self._cool_down(wakeups) or bench.measure_idle(wakeups)):
            return
        identity = {"trial": step.trial["trial"], "job": step.trial["job"], "attempt": step.attempt}
        before = conditions.read_conditions(self._throttle)
        self._reserve.give_back(RECORD_BYTES)
        self.append(Event.TRIAL_STARTED, conditions=before, **identity)
        result = self._execute_attempt(step, bench, wakeups, containment)
        if result.was_stopped and not self._is_cancelled:
            return
        after = conditions.read_conditions(self._throttle)
        fields = dict(identity, conditions=after, conditions_before=before, duration_ns=result.duration_ns)
        fields["invalid"] = self._invalid_reasons(step.trial, before, after)
        self._reserve.give_back(result_bytes(self._plan, step.trial))
        self._append_result(fields, result)

    def _execute_attempt(
        self, step: Step, bench: Bench, wakeups: SignalWakeups, containment: Containment
    ) -> AttemptResult:
        """Execute an attempt; a defect of our own that it brings to light costs this attempt and no other."""
        from device_worker.attempt import AttemptResult

        try:
            return bench.execute(step.trial, wakeups, containment)
        except OSError:  # the disk, not the trial
            raise
        except Exception as error:  # noqa: BLE001 the border of the attempt
            log_exception()
            return AttemptResult(failure(Failure.NO_RESULT, f"the worker failed on it: {error!r}"))

    def _append_result(self, fields: dict[str, Any], result: AttemptResult) -> None:
        try:
            self.append(
                Event.TRIAL_FINISHED,
                outcome=result.outcome,
                failure=result.failure,
                runtime=result.runtime,
                metrics=result.metrics,
                outputs=result.outputs,
                window=result.window,
                power=result.power,
                **fields,
            )
        except ValueError as error:  # too long for a record, or a number that JSON has not
            reason = failure(Failure.GARBAGE, f"its result cannot be kept: {error}")
            nothing: dict[str, Any] = dict.fromkeys(("runtime", "outputs", "window", "power"))
            nothing["metrics"] = []
            self.append(Event.TRIAL_FINISHED, outcome=Outcome.FAILED, failure=reason, **nothing, **fields)

    def _cool_down(self, wakeups: SignalWakeups) -> bool:
        """Wait, within bounds, until the device is cool enough; return whether the runner was told to stop."""
        limit = self._plan.limits["temperature_c_max"]
        remaining_s: float = self._plan.limits["cooldown_s_max"]
        while limit is not None and remaining_s > 0 and not wakeups.is_stopping:
            temperature = conditions.read_temperature_c()
            if temperature is None or temperature <= limit:
                break
            wakeups.wait(min(_COOLDOWN_POLL_S, remaining_s))
            remaining_s -= _COOLDOWN_POLL_S
        return wakeups.is_stopping

    def _invalid_reasons(self, trial: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        if trial["kind"] != TrialKind.MEASURE:
            return []
        reasons = []
        limit = self._plan.limits["temperature_c_max"]
        temperatures = [found["temperature_c"] for found in (before, after) if found["temperature_c"] is not None]
        if limit is not None and temperatures and max(temperatures) > limit:
            reasons.append(Invalid.TOO_HOT)
        if before["throttled"] or after["throttled"]:
            reasons.append(Invalid.THROTTLED)
        return reasons
