"""Decide the next step of a runner from the plan and the log alone.

The same events lead to the same decision, appended a moment ago or replayed after a power cut.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import Event, Outcome, RunOutcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from device_worker.protocol.plan import Plan, PlannedTrial

LOST_ATTEMPTS_MAX = 3
"""After this many runner deaths during the same trial, blame the trial and fail it.

Without the limit, a trial that browns out the board would keep all later trials from their turn.
"""


class TrialTally:
    """The counts of a trial's attempts so far: started, lost in a row, failed, invalid.

    `is_open` is True while an attempt has no end. `is_good` is True after an attempt that is ok and valid.
    """

    __slots__ = ("failed", "failure", "invalid", "is_good", "is_open", "is_skipped", "is_spared", "lost", "started")

    def __init__(self) -> None:
        self.started = 0
        self.is_open = False
        self.lost = 0
        self.failed = 0
        self.invalid = 0
        self.is_good = False
        self.is_skipped = False
        self.is_spared = False
        self.failure = ""


class CellTally:
    """The measure trials of a job so far: the values of the good ones, and the time of all attempts."""

    __slots__ = ("duration_ns", "values")

    def __init__(self) -> None:
        self.duration_ns = 0
        self.values: list[float] = []


class NextStep:
    """The next step: run an attempt at a trial, skip or spare the trial for a reason, or give up the trial.

    A trial is given up if `lost` is not 0. Then `lost` runners in a row have died during the trial.
    """

    __slots__ = ("attempt", "lost", "skip_reason", "spare_reason", "trial")

    def __init__(
        self,
        trial: PlannedTrial,
        attempt: int,
        skip_reason: str | None = None,
        lost: int = 0,
        spare_reason: str | None = None,
    ) -> None:
        self.trial = trial
        self.attempt = attempt
        self.skip_reason = skip_reason
        self.spare_reason = spare_reason
        self.lost = lost


class Progress:
    """The progress of a run. `skip` are the trials that the controller has results of already.

    `spent` has the failed and the invalid attempts of trials in other logs: a retry that is spent is not granted again.
    """

    def __init__(self, plan: Plan, skip: Iterable[str], spent: Iterable[dict[str, tuple[int, int]]] = ()) -> None:
        self._plan = plan
        self._skip = frozenset(skip)
        self._tallies = {trial.key: TrialTally() for trial in plan.trials}
        for counts in spent:
            for name, (failed, invalid) in counts.items():
                if name in self._tallies:
                    self._tallies[name].failed += failed
                    self._tallies[name].invalid += invalid
        self._cells = {job: CellTally() for job in plan.jobs}
        self._measured = {trial.key: trial.job for trial in plan.trials if trial.is_measured}
        self._preflights: dict[str, list[str]] = {}
        for trial in plan.trials:
            if trial.is_preflight:
                self._preflights.setdefault(trial.job, []).append(trial.key)
        self.outcome: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run has ended for good. A run ended by a full disk may be started again."""
        return self.outcome in (RunOutcome.COMPLETE, RunOutcome.CANCELLED)

    def apply(self, event: dict[str, Any]) -> None:
        """Take an event of the log into account. An event of an unknown kind changes nothing."""
        kind = event["kind"]
        if kind == Event.RUN_FINISHED:
            self.outcome = event.get("outcome")
        elif kind == Event.RUNNER_STARTED:  # the runner before has died in every attempt that is still open
            self.outcome = None
            self._lose_open_attempts()
        tally = self._tallies.get(event.get("trial", ""))
        if tally is None:
            return
        if kind == Event.TRIAL_FINISHED:
            tally.is_open, tally.lost = False, 0
            self._note_cell(event)
        tally.is_skipped = tally.is_skipped or kind == Event.TRIAL_SKIPPED
        tally.is_spared = tally.is_spared or kind == Event.TRIAL_SPARED
        if kind == Event.TRIAL_STARTED:
            tally.started += 1
            tally.is_open = True
        elif kind == Event.TRIAL_FINISHED and event.get("outcome") != Outcome.OK:
            tally.failed += 1
            failure = event.get("failure") or {}
            tally.failure = f"{failure.get('kind')}: {failure.get('message')}"
        elif kind == Event.TRIAL_FINISHED and event.get("invalid"):
            tally.invalid += 1
        elif kind == Event.TRIAL_FINISHED:
            tally.is_good = True

    def _note_cell(self, event: dict[str, Any]) -> None:
        job = self._measured.get(event["trial"])
        if job is None:
            return
        cell, value = self._cells[job], event.get("median_ns")
        cell.duration_ns += event.get("duration_ns") or 0
        # A second good attempt is none: a trial with one is done.
        if value is not None and event.get("outcome") == Outcome.OK and not event.get("invalid"):
            cell.values.append(value)

    def _lose_open_attempts(self) -> None:
        for tally in self._tallies.values():
            if tally.is_open:
                tally.is_open = False
                tally.lost += 1

    def attempts_of(self, trial: str) -> tuple[int, int]:
        """Return how often a trial has failed, and was invalid: what its retries are counted against."""
        return self._tallies[trial].failed, self._tallies[trial].invalid

    def waiting(self) -> list[PlannedTrial]:
        """Return the unfinished trials in the plan's order."""
        return [trial for trial in self._plan.trials if not self._is_done(trial.key)]

    def next_step(self) -> NextStep | None:
        """Return the next step, or None if every trial is done.

        The order is the plan's, and a failed trial is retried at once. Trials with invalid conditions are retried at
        the end, fewest invalid attempts first.
        """
        waiting = self.waiting()
        if not waiting:
            return None
        # Invalid trials last: the device may have cooled down by then.
        trial = min(waiting, key=lambda waiting_trial: self._tallies[waiting_trial.key].invalid)
        tally = self._tallies[trial.key]
        if tally.lost >= LOST_ATTEMPTS_MAX:
            return NextStep(trial, tally.started, lost=tally.lost)
        skip = self._reason_to_skip(trial)
        spare = self._reason_to_spare(trial) if skip is None else None
        return NextStep(trial, tally.started + 1, skip, spare_reason=spare)

    def _is_done(self, name: str) -> bool:
        tally = self._tallies[name]
        if name in self._skip or tally.is_good or tally.is_skipped or tally.is_spared:
            return True
        return tally.failed > self._plan.retries.failed or tally.invalid > self._plan.retries.invalid

    def _reason_to_skip(self, trial: PlannedTrial) -> str | None:
        if trial.is_preflight:
            return None
        for name in self._preflights.get(trial.job, ()):
            if name not in self._skip and not self._tallies[name].is_good:
                return f"its preflight {name} failed: {self._tallies[name].failure}"
        return None

    def _reason_to_spare(self, trial: PlannedTrial) -> str | None:
        """Return why the cell of a trial has enough trials by the plan's stop rule, or None."""
        rule = self._plan.stop
        if rule is None or not trial.is_measured or trial.index > rule.trials_max:
            return None
        from device_worker.runner.stopping import look_at  # few plans have a rule

        cell = self._cells[trial.job]
        return look_at(cell.values).reason_to_stop(rule, cell.duration_ns / 1e9)
