"""Replay a device's events on what the database knows of its trials: pure, so that its rules can be tested alone.

The counted attempt of a trial is its first one that is ok and valid; nothing ever replaces it. Retries append.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Any

from device_worker.protocol.vocabulary import Failure
from orchestrator.domain.plan import TrialKind
from orchestrator.domain.run import TrialChange, TrialState
from orchestrator.store.cleaning import Unfit
from orchestrator.store.events import LogEvent, TrialFinished, TrialSkipped, TrialStarted
from orchestrator.store.wording import describe_failure

TrialEvent = TrialStarted | TrialFinished | TrialSkipped


@dataclass(slots=True)
class KnownTrial:
    """A trial as it stands; `ordinal` is the number of its last attempt."""

    id: int
    key: str
    job: str
    label: str
    kind: str
    state: TrialState
    ordinal: int
    runtime_sha256: str
    model_sha256: str
    skip_reason: str | None = None


@dataclass(slots=True)
class Attempt:
    """An attempt that the events began or ended; `id` is None until the database has it."""

    trial: KnownTrial
    log_attempt: int
    id: int | None = None
    ordinal: int | None = None
    started_seq: int | None = None
    started_at: datetime | None = None
    conditions_before: Mapping[str, Any] | None = None
    finished_seq: int | None = None
    finished_at: datetime | None = None
    finished: TrialFinished | None = None
    counted: bool = False


@dataclass(slots=True)
class Replay:
    """What a sequence of events does to the trials of one device."""

    device: str
    trials: Mapping[str, KnownTrial]
    open_attempts: InitVar[Iterable[Attempt]] = ()
    attempts: list[Attempt] = field(default_factory=list)
    changed: dict[int, KnownTrial] = field(default_factory=dict)
    changes: list[TrialChange] = field(default_factory=list)
    _open: dict[tuple[str, int], Attempt] = field(init=False)

    def __post_init__(self, open_attempts: Iterable[Attempt]) -> None:
        self._open = {(attempt.trial.key, attempt.log_attempt): attempt for attempt in open_attempts}

    def apply(self, event: LogEvent, body: TrialEvent) -> None:
        """Take one event; raise Unfit for one about a trial that the plan does not have."""
        trial = self.trials.get(body.trial)
        if trial is None or trial.job != body.job:
            raise Unfit(f"the plan has no trial {body.trial} of job {body.job}")
        match body:
            case TrialStarted():
                self._start(trial, event, body)
            case TrialFinished():
                self._finish(trial, event, body)
            case TrialSkipped():
                self._skip(trial, body)

    def _start(self, trial: KnownTrial, event: LogEvent, body: TrialStarted) -> None:
        attempt = self._append(trial, body.attempt)
        attempt.started_seq, attempt.started_at, attempt.conditions_before = event.seq, event.at, body.conditions
        self._open[trial.key, body.attempt] = attempt
        self._turn(trial, TrialState.RUNNING)
        self._report(trial, temperature_c=_temperature(body.conditions))

    def _finish(self, trial: KnownTrial, event: LogEvent, body: TrialFinished) -> None:
        attempt = self._open.pop((trial.key, body.attempt), None)
        if attempt is None:
            attempt = self._append(trial, body.attempt)
        elif attempt.id is not None:
            self.attempts.append(attempt)
        attempt.finished_seq, attempt.finished_at, attempt.finished = event.seq, event.at, body
        attempt.conditions_before = body.conditions_before or attempt.conditions_before
        attempt.counted = body.usable and trial.state is not TrialState.MEASURED
        if body.usable:
            self._turn(trial, TrialState.MEASURED)
        elif body.failure is not None and body.failure.kind == Failure.CANCELLED:
            self._turn(trial, TrialState.PLANNED)  # nothing is wrong with it: a resume runs it
        else:
            self._turn(trial, TrialState.INVALID if body.ok else TrialState.FAILED)
        failure = body.failure
        self._report(
            trial,
            p50_ns=next((report.value for report in body.metrics if report.name == "latency_ns"), None),
            temperature_c=_temperature(body.conditions),
            failure=describe_failure(failure.kind, failure.message) if failure else ", ".join(body.invalid) or None,
        )

    def _skip(self, trial: KnownTrial, body: TrialSkipped) -> None:
        if trial.state is not TrialState.MEASURED:
            trial.skip_reason = body.reason or None
        self._turn(trial, TrialState.SKIPPED)
        self._report(trial, failure=body.reason or None)

    def _append(self, trial: KnownTrial, log_attempt: int) -> Attempt:
        trial.ordinal += 1
        attempt = Attempt(trial, log_attempt, ordinal=trial.ordinal)
        self.attempts.append(attempt)
        return attempt

    def _turn(self, trial: KnownTrial, state: TrialState) -> None:
        """Change a trial's state, unless it has been measured: that is for good."""
        if trial.state is not TrialState.MEASURED:
            trial.state = state
            if state is not TrialState.SKIPPED:
                trial.skip_reason = None
            self.changed[trial.id] = trial

    def _report(
        self,
        trial: KnownTrial,
        *,
        p50_ns: float | None = None,
        temperature_c: float | None = None,
        failure: str | None = None,
    ) -> None:
        self.changes.append(
            TrialChange(
                self.device,
                trial.key,
                trial.label,
                trial.state,
                str(TrialKind(trial.kind)),
                p50_ns,
                temperature_c,
                failure,
            )
        )


def _temperature(conditions: Mapping[str, object] | None) -> float | None:
    value = (conditions or {}).get("temperature_c")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
