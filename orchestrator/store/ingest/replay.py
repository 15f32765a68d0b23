"""Replay a device's events on the known states of trials, purely, for tests without a database.

The counted attempt of a trial is the first valid attempt with outcome ok. No later attempt replaces the counted one.
Retries append further attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Any, assert_never

from device_worker.protocol.vocabulary import FailureKind
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import TrialChange, TrialState
from orchestrator.store.ingest.events import (
    LogEvent,
    TrialEvent,
    TrialFinished,
    TrialSkipped,
    TrialSpared,
    TrialStarted,
)
from orchestrator.store.values.hygiene import Unfit
from orchestrator.store.values.wording import describe_failure


@dataclass(slots=True)
class KnownTrial:
    """Hold the present state of a trial. `ordinal` is the number of the last attempt, 0 before the first."""

    id: int
    key: str
    job_id: int
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
    """Hold an attempt begun or ended by the events. `id` is None before the attempt has a row.

    `log_attempt` is the number within the log. `ordinal` is the number within the trial, over all logs.
    """

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
    """Apply a sequence of events to the trials of a device, and collect the changes to be written."""

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
        """Apply an event. Raise Unfit if the plan has no such trial."""
        trial = self.trials.get(body.trial)
        if trial is None or trial.job != body.job:
            raise Unfit(f"the plan has no trial {body.trial} of job {body.job}")
        match body:
            case TrialStarted():
                self._start(trial, event, body)
            case TrialFinished():
                self._finish(trial, event, body)
            case TrialSkipped():
                self._leave_out(trial, TrialState.SKIPPED, body.reason)
            case TrialSpared():
                self._leave_out(trial, TrialState.SPARED, body.reason)
            case forgotten:
                assert_never(forgotten)

    def _start(self, trial: KnownTrial, event: LogEvent, body: TrialStarted) -> None:
        attempt = self._append(trial, body.attempt)
        attempt.started_seq, attempt.started_at, attempt.conditions_before = event.seq, event.at, body.conditions
        self._open[trial.key, body.attempt] = attempt
        self._turn(trial, TrialState.RUNNING)
        self._report(trial, temperature_c=_temperature(body.conditions))

    def _finish(self, trial: KnownTrial, event: LogEvent, body: TrialFinished) -> None:
        attempt = self._open.pop((trial.key, body.attempt), None)
        if attempt is None:
            # The start is not in this log or is lost: the end alone is an attempt too.
            attempt = self._append(trial, body.attempt)
        elif attempt.id is not None:
            self.attempts.append(attempt)
        attempt.finished_seq, attempt.finished_at, attempt.finished = event.seq, event.at, body
        attempt.conditions_before = body.conditions_before or attempt.conditions_before
        # The first usable attempt counts for good, whatever a later retry measures.
        attempt.counted = body.usable and trial.state is not TrialState.MEASURED
        if body.usable:
            self._turn(trial, TrialState.MEASURED)
        elif body.failure is not None and body.failure.kind == FailureKind.CANCELLED:
            self._turn(trial, TrialState.PLANNED)  # the trial itself is well, and a resume runs it
        else:
            self._turn(trial, TrialState.INVALID if body.ok else TrialState.FAILED)
        failure = body.failure
        self._report(
            trial,
            p50_ns=next((report.value for report in body.metrics if report.name == "latency_ns"), None),
            temperature_c=_temperature(body.conditions),
            failure=describe_failure(failure.kind, failure.message) if failure else ", ".join(body.invalid) or None,
        )

    def _leave_out(self, trial: KnownTrial, state: TrialState, reason: str) -> None:
        if trial.state is not TrialState.MEASURED:
            trial.skip_reason = reason or None
        self._turn(trial, state)
        self._report(trial, failure=reason or None)

    def _append(self, trial: KnownTrial, log_attempt: int) -> Attempt:
        trial.ordinal += 1
        attempt = Attempt(trial, log_attempt, ordinal=trial.ordinal)
        self.attempts.append(attempt)
        return attempt

    def _turn(self, trial: KnownTrial, state: TrialState) -> None:
        """Change the state of a trial. A measured trial stays measured for good."""
        if trial.state is not TrialState.MEASURED:
            trial.state = state
            if state not in (TrialState.SKIPPED, TrialState.SPARED):
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
    # To Python True is a number, and a device may send anything.
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
