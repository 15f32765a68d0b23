"""Keep what a run's display knows of each device: step, trials, failures, and the state of the link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.conversation import Step
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.recovery import Rung
from orchestrator.domain.run import DeviceRunState, TrialChange, TrialState
from orchestrator.reporting.cell_names import parts_of, shared_of
from orchestrator.reporting.text import short_reason

COMING = frozenset({Step.CONNECT, Step.START_WORKER})
UNFINISHED = frozenset({TrialState.PLANNED, TrialState.RUNNING})
TROUBLES = (TrialState.FAILED, TrialState.SKIPPED, TrialState.INVALID)
_OVER = (Rung.RETRY.value, Rung.RECONNECT.value)
"""Rungs that are told once they have been climbed: the session goes on, or ends."""

Clock = Callable[[], float]


@dataclass(slots=True)
class CellTrouble:
    """Count the attempts of a cell without a value. `reasons` are unlike, in short, the first attempt's first."""

    reasons: list[str] = field(default_factory=list)
    counts: Counter[TrialState] = field(default_factory=Counter)

    def note(self, state: TrialState, reason: str) -> bool:
        """Count an attempt. Return whether the reason is news."""
        # One failed preflight skips all trials of a cell: the cause is told, not each effect.
        is_news = reason not in self.reasons and not (self.reasons and state is TrialState.SKIPPED)
        if is_news:
            self.reasons.append(reason)
        self.counts[state] += 1
        return is_news

    @property
    def sentence(self) -> str:
        """Return counts and reason in a line."""
        counts = ", ".join(_times(state, self.counts[state]) for state in TROUBLES if self.counts[state])
        reasons = "; ".join(filter(None, self.reasons))
        return f"{counts}: {reasons}" if reasons else counts


def _times(state: TrialState, count: int) -> str:
    return state.value if count == 1 else f"{state.value} {count} times"


@dataclass(slots=True)
class Progress:
    """Hold the progress of a device. `outcomes` has the present state of each trial, preflights included.

    `retries` are the attempts of each trial after the first one, and `retried` is the trial that is tried again now.
    `p50_ns` is the newest median of each cell. `lost_at` is the time of a link's loss, while a runner goes on there.
    """

    began_at: float
    step: str = ""
    detail: str = ""
    trials: int | None = None
    excluded: int = 0
    label: str = ""
    temperature_c: float | None = None
    touched_at: float = 0.0
    ended: DeviceRunState | None = None
    error: str | None = None
    hint: str | None = None
    arrived: bool = False
    follows: bool = False
    lost_at: float | None = None
    outcomes: dict[str, TrialState] = field(default_factory=dict)
    preflights: set[str] = field(default_factory=set)
    timed: set[str] = field(default_factory=set)
    retries: Counter[str] = field(default_factory=Counter)
    retried: str | None = None
    p50_ns: dict[str, float] = field(default_factory=dict)
    troubles: dict[str, CellTrouble] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """Return the number of trials with an ended attempt. A trial of several attempts counts once."""
        return sum(state not in UNFINISHED or trial in self.retries for trial, state in self.outcomes.items())

    @property
    def count(self) -> str:
        """Return trial k of n. Without a plan n is left out."""
        return f"{self.finished}/{self.trials}" if self.trials is not None else str(self.finished)

    @property
    def count_with_retries(self) -> str:
        """Return trial k of n, and how far the retries are."""
        retries = self.retry_round or (f"{len(self.retries)} tried again" if self.retries else "")
        return f"{self.count}, {retries}" if retries else self.count

    @property
    def tried_again(self) -> tuple[int, int]:
        """Return the number of trials with more than one attempt, and of their attempts after the first one."""
        return len(self.retries), self.retries.total()

    @property
    def retry_round(self) -> str:
        """Return which round of retries is under way, and trial k of n there; nothing while first attempts are left."""
        if self.retried is None or self.finished != self.trials:
            return ""
        number = self.retries[self.retried]
        # What is invalid comes to its next attempt once every other trial has had this one.
        later = [trial for trial in self.outcomes if self.retries[trial] > number]
        present = [trial for trial in self.outcomes if self.retries[trial] == number]
        waiting = [
            trial
            for trial, state in self.outcomes.items()
            if self.retries[trial] == number - 1 and state is TrialState.INVALID
        ]
        done = len(later) + sum(self.outcomes[trial] not in UNFINISHED for trial in present)
        return f"retry {number}: {done}/{len(later) + len(present) + len(waiting)}"

    @property
    def tally(self) -> Counter[TrialState]:
        """Return the number of ended measure trials by state, as `runs show` counts them. No preflight is a trial."""
        ended = ((trial, state) for trial, state in self.outcomes.items() if state not in UNFINISHED)
        return Counter(state for trial, state in ended if trial in self.timed)

    def preflights_that(self, state: TrialState) -> int:
        """Return the number of preflights in a state."""
        return sum(self.outcomes[trial] is state for trial in self.preflights)

    @property
    def is_to_come(self) -> bool:
        """Say whether the device is still connected to for the first time."""
        return self.step in COMING and not self.arrived and self.ended is None

    @property
    def is_failing(self) -> bool:
        """Say whether anything is wrong: the link, the device, or a cell."""
        return self.lost_at is not None or self.step == Step.RECOVER or bool(self.troubles)

    @property
    def state(self) -> str:
        """Return the present state in a word or two."""
        if self.lost_at is not None:
            return "no link"
        if self.step == Step.RECOVER or not self.outcomes:
            return str(self.step) or "planned"
        return "retrying" if self.retried else "running"

    def enter(self, step: str, detail: str, now: float) -> None:
        """Remember the step. With any step after connecting the device has arrived."""
        if step == Step.RECOVER and detail.partition(":")[0] in _OVER:
            return
        self.arrived = self.arrived or (self.step in COMING and step not in COMING)
        if step in COMING:
            self.lost_at = (now if self.lost_at is None else self.lost_at) if self.follows else None
        else:
            # Any other rung ends the runner, or the device.
            self.follows, self.lost_at = self.follows and step != Step.RECOVER, None
        self.follows = self.follows or step == Step.FOLLOW
        self.step, self.detail = step, detail

    def end(self, state: DeviceRunState, error: str | None, hint: str | None) -> None:
        """Remember the end of the device."""
        self.ended, self.error, self.hint, self.lost_at = state, error, hint, None

    def plan(self, trials: int, excluded: int) -> None:
        """Expect more trials, beside the trials already shown."""
        self.arrived = True
        # A plan names the trials to come: after a restart some of this very command have been shown.
        self.trials, self.excluded = self.finished + trials, excluded

    def take(self, change: TrialChange) -> bool:
        """Remember the change of a trial. Return whether the attempt failed for a reason that is news of the cell."""
        before = self.outcomes.get(change.trial)
        if change.state is TrialState.RUNNING:
            is_again = before is not None and before not in UNFINISHED
            self.retried = change.trial if is_again else None
            if is_again:
                self.retries[change.trial] += 1
            if self.step == Step.RECOVER:  # the device is back
                self.step = Step.FOLLOW
        self.outcomes[change.trial] = change.state
        if change.kind == TrialKind.PREFLIGHT:
            self.preflights.add(change.trial)
        elif change.kind == TrialKind.MEASURE:
            self.timed.add(change.trial)
        self.label = change.label
        if change.p50_ns is not None:
            self.p50_ns[change.label] = change.p50_ns
        self.temperature_c = change.temperature_c if change.temperature_c is not None else self.temperature_c
        if change.state not in TROUBLES:
            return False
        return self.troubles.setdefault(change.label, CellTrouble()).note(change.state, short_reason(change.failure))


class Board:
    """Hold every device's progress, in the order of first mention."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.devices: dict[str, Progress] = {}
        self._parts: dict[str, tuple[str, ...]] = {}

    def touch(self, device: str) -> Progress:
        """Return the progress of a device that was heard of now."""
        now = self.clock()
        progress = self.devices.setdefault(device, Progress(began_at=now))
        progress.touched_at = now
        return progress

    def take(self, change: TrialChange) -> bool:
        """Remember the change of a trial. Return whether the attempt failed for a reason that is news of the cell."""
        self._parts.setdefault(change.label, parts_of(change.label))
        return self.touch(change.device).take(change)

    @property
    def coming(self) -> str | None:
        """Return the words for the devices still to come; None without such devices."""
        count = sum(progress.is_to_come for progress in self.devices.values())
        return f"connecting: {count} of {len(self.devices)} to come" if count else None

    def shared_parts(self) -> Sequence[str]:
        """Return the parts that the names of all cells have. A single cell shares nothing."""
        return shared_of([*self._parts.values()])
