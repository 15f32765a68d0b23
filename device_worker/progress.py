"""Decide what a runner does next, from the plan and the log alone.

The same events lead to the same decision, whether they were appended a moment ago or replayed after a power cut.
"""

from __future__ import annotations

from device_worker.protocol.vocabulary import Event, Outcome, RunOutcome, TrialKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from device_worker.plan import Plan

LOST_ATTEMPTS_MAX = 3
"""So often may a runner end in the middle of one trial before the trial is taken for the reason."""


class TrialTally:
    """What has become of one trial so far."""

    __slots__ = ("failed", "failure", "invalid", "is_good", "is_open", "is_skipped", "lost", "started")

    def __init__(self) -> None:
        self.started = 0
        self.is_open = False
        self.lost = 0
        self.failed = 0
        self.invalid = 0
        self.is_good = False
        self.is_skipped = False
        self.failure = ""


class Step:
    """One thing to do: run an attempt at a trial or, where there is a `skip_reason`, skip it.

    With `lost` the attempt is not to be run but given up: so many runners ended in the middle of this trial.
    """

    __slots__ = ("attempt", "lost", "skip_reason", "trial")

    def __init__(self, trial: dict[str, Any], attempt: int, skip_reason: str | None = None, lost: int = 0) -> None:
        self.trial = trial
        self.attempt = attempt
        self.skip_reason = skip_reason
        self.lost = lost


class Progress:
    """How far a run has come; `skip` are trials that the controller wants left alone."""

    def __init__(self, plan: Plan, skip: Iterable[str]) -> None:
        self._plan = plan
        self._skip = frozenset(skip)
        self._tallies = {trial["trial"]: TrialTally() for trial in plan.trials}
        self._preflights: dict[str, list[str]] = {}
        for trial in plan.trials:
            if trial["kind"] == TrialKind.PREFLIGHT:
                self._preflights.setdefault(trial["job"], []).append(trial["trial"])
        self.outcome: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run has ended for good: one that a full disk ended may be started again."""
        return self.outcome in (RunOutcome.COMPLETE, RunOutcome.CANCELLED)

    def apply(self, event: dict[str, Any]) -> None:
        """Take one event of the log into account; events of other kinds change nothing."""
        kind = event["kind"]
        if kind == Event.RUN_FINISHED:
            self.outcome = event.get("outcome")
        elif kind == Event.RUNNER_STARTED:
            self.outcome = None
            self._lose_open_attempts()
        tally = self._tallies.get(event.get("trial", ""))
        if tally is None:
            return
        if kind == Event.TRIAL_FINISHED:
            tally.is_open, tally.lost = False, 0
        if kind == Event.TRIAL_STARTED:
            tally.started += 1
            tally.is_open = True
        elif kind == Event.TRIAL_SKIPPED:
            tally.is_skipped = True
        elif kind == Event.TRIAL_FINISHED and event.get("outcome") != Outcome.OK:
            tally.failed += 1
            failure = event.get("failure") or {}
            tally.failure = f"{failure.get('kind')}: {failure.get('message')}"
        elif kind == Event.TRIAL_FINISHED and event.get("invalid"):
            tally.invalid += 1
        elif kind == Event.TRIAL_FINISHED:
            tally.is_good = True

    def _lose_open_attempts(self) -> None:
        for tally in self._tallies.values():
            if tally.is_open:
                tally.is_open = False
                tally.lost += 1

    def waiting(self) -> list[dict[str, Any]]:
        """Return the trials that are not done, in the plan's order."""
        return [trial for trial in self._plan.trials if not self._is_done(trial["trial"])]

    def next_step(self) -> Step | None:
        """Return what to do next, or None when every trial is done.

        First every trial in the plan's order, a failed one again at once; then, fewest attempts first, those whose
        conditions were invalid: the device may have settled by then.
        """
        waiting = self.waiting()
        if not waiting:
            return None
        trial = min(waiting, key=lambda waiting_trial: self._tallies[waiting_trial["trial"]].invalid)
        tally = self._tallies[trial["trial"]]
        if tally.lost >= LOST_ATTEMPTS_MAX:
            return Step(trial, tally.started, lost=tally.lost)
        return Step(trial, tally.started + 1, self._reason_to_skip(trial))

    def _is_done(self, name: str) -> bool:
        tally = self._tallies[name]
        if name in self._skip or tally.is_good or tally.is_skipped:
            return True
        return tally.failed > self._plan.retries["failed"] or tally.invalid > self._plan.retries["invalid"]

    def _reason_to_skip(self, trial: dict[str, Any]) -> str | None:
        if trial["kind"] != TrialKind.MEASURE:
            return None
        for name in self._preflights.get(trial["job"], ()):
            if name not in self._skip and not self._tallies[name].is_good:
                return f"its preflight {name} failed: {self._tallies[name].failure}"
        return None
