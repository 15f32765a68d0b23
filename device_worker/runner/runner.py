"""Execute a device plan, attempt by attempt, with the event log as the only memory."""

from __future__ import annotations

import errno
import os
import sys
import time

from device_worker.protocol import PROTOCOL_VERSION
from device_worker.protocol.errors import is_disk_full
from device_worker.protocol.vocabulary import Event, FailureKind, Outcome, RunOutcome
from device_worker.runner.failures import failure
from device_worker.sensing.conditions.table import ConditionWatch
from device_worker.state.log_reserve import RECORD_BYTES, LogReserve, log_bytes, result_bytes
from device_worker.system.runner_log import log, log_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.plan import Plan
    from device_worker.protocol.start import StartOrder
    from device_worker.runner.attempt import AttemptResult, Attempts
    from device_worker.runner.progress import NextStep, Progress
    from device_worker.state.event_log import EventLog
    from device_worker.state.state_dir import RunDir
    from device_worker.system.containment import Containment
    from device_worker.system.process_identity import ProcessIdentity
    from device_worker.system.survivors import Leftover
    from device_worker.system.wakeups import SignalWakeups

_COOLDOWN_POLL_S = 0.5


class Runner:
    """The runner of a run. The caller holds the locks of device and machine, and has opened the run's log.

    `wake_fd` is the write end of the run's wake-up fifo. `exclusive`: no other runner shares the machine.
    """

    def __init__(
        self,
        run_dir: RunDir,
        plan: Plan,
        progress: Progress,
        event_log: EventLog,
        wake_fd: int,
        *,
        exclusive: bool,
    ) -> None:
        self._run_dir = run_dir
        self._reserve = LogReserve(run_dir.log_reserve)
        self._plan = plan
        self._progress = progress
        self._log = event_log
        self._wake_fd = wake_fd
        self._exclusive = exclusive
        cooled_to = plan.limits.cooldown_to_c
        self._watch = ConditionWatch(plan.limits.conditions, {} if cooled_to is None else {"temperature_c": cooled_to})

    def append(self, kind: str, **fields: Any) -> None:
        """Append an event to the log, update the progress, and wake the followers. Raise OSError or ValueError."""
        self._progress.apply(self._log.append(kind, **fields))
        try:
            os.write(self._wake_fd, b".")
        except BlockingIOError:  # the fifo is full of wake-ups that no follower has read
            pass

    def reserve_room(self) -> None:
        """Reserve the disk room for the rest of the log, or raise WorkerError (DISK_FULL) with the figures."""
        self._reserve.lay(log_bytes(self._plan, self._progress.waiting()))

    def begin(self, request: StartOrder, identity: ProcessIdentity) -> None:
        """Record the start of the runner, after `log-opened` if the log is new."""
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

    def execute(self, attempts: Attempts, wakeups: SignalWakeups, containment: Containment) -> None:
        """Execute the plan to the end, or until cancelled, stopped, out of disk space or beside a survivor."""
        try:
            self._execute_steps(attempts, wakeups, containment)
        except OSError as error:
            if error.errno == errno.EROFS:  # this cannot be recorded, but `follow-ended` tells of a read-only disk
                log(f"the disk is read-only now: {error}")
                return
            if not is_disk_full(error):
                raise
            log(f"the disk is full: {error}")
            self._finish(RunOutcome.DISK_FULL)

    def _execute_steps(self, attempts: Attempts, wakeups: SignalWakeups, containment: Containment) -> None:
        while not (wakeups.is_stopping or self._is_cancelled):
            step = self._progress.next_step()
            if step is None:  # beside a survivor too: the last trial was measured before the survivor was alone
                self._finish(RunOutcome.COMPLETE)
                return
            if containment.survivors:
                self._stop_beside(containment.survivors)
                return
            if step.lost:
                self._give_up(step)
            elif step.skip_reason is not None:
                self._skip(step)
            elif step.spare_reason is not None:
                self.append(Event.TRIAL_SPARED, trial=step.trial.key, job=step.trial.job, reason=step.spare_reason)
            else:
                self._attempt(step, attempts, wakeups, containment)
        if self._is_cancelled:
            self._finish(RunOutcome.CANCELLED)

    def _stop_beside(self, survivors: list[Leftover]) -> None:
        """Record why the runner stops before the plan's end. The next runner goes on once the survivors are gone."""
        from device_worker.system.survivors import refusal_for  # a survivor is rare, and a start is not

        found = refusal_for(survivors)
        log(str(found))
        self._reserve.release()
        self.append(Event.RUNNER_STOPPED, reason=str(found), hint=found.hint, **found.details)

    def _finish(self, outcome: str) -> None:
        """Record the end of the run."""
        self._reserve.release()  # the last record takes the room kept for a full disk
        self.append(Event.RUN_FINISHED, outcome=outcome)

    @property
    def _is_cancelled(self) -> bool:
        """Whether a controller has cancelled the run."""
        # By a file: SIGTERM alone may also come from a shutdown of the device, after which the run goes on.
        return os.path.exists(self._run_dir.cancel)

    def _skip(self, step: NextStep) -> None:
        self.append(Event.TRIAL_SKIPPED, trial=step.trial.key, job=step.trial.job, reason=step.skip_reason)

    def _give_up(self, step: NextStep) -> None:
        """Record a failed attempt for a trial that has ended every runner so far. Other trials get their turn then."""
        from device_worker.runner.attempt import AttemptResult

        words = f"the runner died, or the device went down, {step.lost} times in the middle of this trial"
        now = self._watch.read()
        identity = {"trial": step.trial.key, "job": step.trial.job, "attempt": step.attempt}
        fields = dict(identity, conditions=now, conditions_before=None, duration_ns=None, invalid=[])
        self._reserve.give_back(RECORD_BYTES)
        self._append_result(fields, AttemptResult(failure(FailureKind.RUNNER_DIED, words)))

    def _attempt(self, step: NextStep, attempts: Attempts, wakeups: SignalWakeups, containment: Containment) -> None:
        if step.trial.is_judged and self._cool_down(wakeups):
            return
        if step.trial.is_measured and attempts.measure_idle(wakeups):
            return
        identity = {"trial": step.trial.key, "job": step.trial.job, "attempt": step.attempt}
        before = self._watch.read()
        self._reserve.give_back(RECORD_BYTES)
        self.append(Event.TRIAL_STARTED, conditions=before, **identity)
        result = self._execute_attempt(step, attempts, wakeups, containment)
        if result.was_stopped and not self._is_cancelled:  # no fault of the trial: the next runner tries again
            return
        self._watch.note(result.seen)
        after: dict[str, Any] = self._watch.read(is_after_trial=True)
        if result.watch_cpu_ns is not None:
            after["watch_cpu_ns"] = result.watch_cpu_ns
        if result.placement is not None:
            after = dict(after, placement=result.placement.to_json(), environment=result.environment)
        fields = dict(identity, conditions=after, conditions_before=before, duration_ns=result.duration_ns)
        fields["invalid"] = (
            self._watch.find_breaches(before, after, is_timed=step.trial.is_measured) if step.trial.is_judged else []
        )
        attempts.judge_power(result, wakeups)
        self._reserve.give_back(result_bytes(self._plan, step.trial))
        self._append_result(fields, result)

    def _execute_attempt(
        self, step: NextStep, attempts: Attempts, wakeups: SignalWakeups, containment: Containment
    ) -> AttemptResult:
        """Execute an attempt, and turn an unexpected exception into a failed attempt. Raise OSError."""
        from device_worker.runner.attempt import AttemptResult

        try:
            return attempts.execute(step.trial, wakeups, containment)
        except OSError:  # a problem of the disk, not of the trial
            raise
        except Exception as error:  # noqa: BLE001 the border of the attempt
            log_exception()
            return AttemptResult(failure(FailureKind.NO_RESULT, f"the worker failed on the attempt: {error!r}"))

    def _append_result(self, fields: dict[str, Any], result: AttemptResult) -> None:
        fields = dict(fields, exclusive=self._exclusive)
        if self._plan.stop is not None:
            fields["median_ns"] = result.median_ns
        try:
            self.append(
                Event.TRIAL_FINISHED,
                outcome=result.outcome,
                failure=result.failure,
                runtime=result.runtime,
                metrics=result.metrics,
                outputs=result.outputs,
                input_results=result.input_results,
                window=result.window,
                power=result.power,
                profile=result.profile,
                **fields,
            )
        except ValueError as error:  # the record is too long, or has a NaN or an infinity, which JSON lacks
            reason = failure(FailureKind.GARBAGE, f"the result cannot be kept: {error}")
            nothing: dict[str, Any] = dict.fromkeys(
                ("runtime", "outputs", "input_results", "window", "power", "profile")
            )
            nothing["metrics"] = []
            self.append(Event.TRIAL_FINISHED, outcome=Outcome.FAILED, failure=reason, **nothing, **fields)

    def _cool_down(self, wakeups: SignalWakeups) -> bool:
        """Wait until the conditions allow a trial. Return True if the runner shall stop.

        The wait ends after `cooldown_s_max`, and after at most one reading of the sensors more.
        """
        deadline_s = time.monotonic() + self._plan.limits.cooldown_s_max  # readings take time too, up to 3 s each
        # A cancel between trials comes without a signal.
        while not (wakeups.is_stopping or self._is_cancelled):
            if time.monotonic() >= deadline_s or not self._watch.must_wait():
                break
            wakeups.wait(min(_COOLDOWN_POLL_S, max(0.0, deadline_s - time.monotonic())))
        return wakeups.is_stopping or self._is_cancelled
