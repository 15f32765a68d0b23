"""Read the value of every trial of a run in several metrics, and the reasons where there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, and_, bindparam, func, select

from orchestrator.domain.build import Build
from orchestrator.domain.metric import POWER_METRICS, sampled_quantile
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.power import NO_ACCOUNT, OWN_SOURCE, UNRECORDED_SOURCE
from orchestrator.domain.run import TrialState
from orchestrator.store.schema import tables as t
from orchestrator.store.values.wording import describe_failure

_Words = dict[str, None]
"""Words, each once, in the order in which the trials say them."""
_PREFLIGHT = TrialKind.PREFLIGHT.value


@dataclass(slots=True)
class Tally:
    """Collect the values of a job's trials, and count the trials without a value by reason.

    Collect the reasons for missing figures, and for a metric of power the sources and the reasons for doubtful figures.
    """

    is_of_power: bool = False
    measured: list[float] = field(default_factory=list)
    from_preflight: list[float] = field(default_factory=list)
    invalid: int = 0
    failed: int = 0
    missing: int = 0
    without_metric: int = 0
    shared: int = 0
    rejected: str | None = None
    sources: _Words = field(default_factory=dict)
    unmeasured: _Words = field(default_factory=dict)
    cautions: _Words = field(default_factory=dict)
    failures: _Words = field(default_factory=dict)
    builds: dict[Build, None] = field(default_factory=dict)

    def with_room(self) -> Tally:
        """Return the counts of lost trials alone, to which values can be added."""
        return Tally(
            invalid=self.invalid,
            failed=self.failed,
            missing=self.missing,
            rejected=self.rejected,
            failures=dict(self.failures),
        )

    def add_value(self, trial: Row[Any], value: float, source: str | None) -> None:
        """Add the value of a trial, with the power source if the figure names one."""
        if trial.kind == _PREFLIGHT:
            self.from_preflight.append(value)
            return
        self.measured.append(value)
        self.shared += trial.exclusive is False  # None: a worker of an older release, which did not say
        if self.is_of_power:
            self._add_source(trial, source)

    def add_unmeasured(self, trial: Row[Any], absence: str | None) -> None:
        """Count a good trial without the metric, and note the reason, if the worker gave one."""
        self.without_metric += 1
        if absence is not None:
            self.unmeasured[absence] = None
        elif self.is_of_power:
            self.unmeasured[trial.reason or trial.energy_reason or NO_ACCOUNT] = None

    def add_all_unmeasured(self, trials: Sequence[Row[Any]]) -> None:
        """Count good trials without the metric, of which no worker gave a reason."""
        self.without_metric += len(trials)
        if self.is_of_power:
            self.unmeasured |= {trial.reason or trial.energy_reason or NO_ACCOUNT: None for trial in trials}

    def add_lost(self, trial: Row[Any], trials: int) -> None:
        """Count trials without a counted attempt, all of the same state and for the same reason."""
        state = TrialState(trial.state)
        if trial.kind == _PREFLIGHT:
            if state is TrialState.FAILED:
                self.rejected = describe_failure(trial.failure_kind, trial.failure_message) or "its preflight failed"
        elif state is TrialState.SKIPPED:
            self.rejected = self.rejected or trial.skip_reason or "its preflight failed"
        elif state is TrialState.INVALID:
            self.invalid += trials
        elif state is TrialState.FAILED:
            self.failed += trials
            if failure := describe_failure(trial.failure_kind, trial.failure_message):
                self.failures[failure] = None
        elif state is not TrialState.SPARED:
            self.missing += trials

    def _add_source(self, trial: Row[Any], source: str | None) -> None:
        """Note the power source of a value."""
        # A value without a source, in an attempt with an account of power, was reported by the trial's program.
        nameless = UNRECORDED_SOURCE if trial.account is None else OWN_SOURCE
        self.sources[source or nameless] = None
        if source and trial.caution:
            self.cautions[trial.caution] = None


class RunTrials:
    """Hold the trials of a run, with the values in some metrics. Each trial is read once for all of the metrics."""

    def __init__(self, connection: Connection, run: str, metrics: Sequence[str]) -> None:
        # All rows at once: one by one, each row takes a way through the layers of the driver.
        self._counted: dict[int, list[Row[Any]]] = defaultdict(list)
        for trial in connection.execute(_COUNTED_TRIALS, {"run": run}).all():
            self._counted[trial.job_id].append(trial)
        self._lost: dict[int, Tally] = defaultdict(Tally)
        for alike in connection.execute(_LOST_TRIALS, {"run": run}).all():
            self._lost[alike.job_id].add_lost(alike, alike.trials)
        sampled = [quantile[0] for metric in metrics if (quantile := sampled_quantile(metric))]
        asked = {"run": run, "metrics": sorted({*metrics, *sampled})}
        self._figures: dict[str, dict[int, Row[Any]]] = defaultdict(dict)
        for row in connection.execute(_FIGURES, asked).all():
            self._figures[row.metric][row.attempt_id] = row
        self._absences: dict[str, dict[int, str]] = defaultdict(dict)
        for row in connection.execute(_ABSENCES, asked).all():
            self._absences[row.metric][row.attempt_id] = row.reason
        self._values: dict[str, dict[int, tuple[float, Row[Any]]]] = {}

    def tally(self, job: int, metric: str) -> Tally:
        """Return the values of a job's trials in one of the metrics."""
        lost = self._lost.get(job)
        # Whatever the metric, a trial without a counted attempt has no value: such trials are counted once.
        tally = lost.with_room() if lost else Tally()
        tally.is_of_power = metric in POWER_METRICS
        figures, absences = self._valued(metric), self._absences[metric]
        trials = self._counted.get(job, ())
        if not figures and not absences:
            # Most of the usual metrics are measured by few runs.
            tally.add_all_unmeasured([trial for trial in trials if trial.kind != _PREFLIGHT])
            return tally
        builds: dict[Any, None] = {}
        for trial in trials:
            found = figures.get(trial.attempt)
            if found is not None:
                value, figure = found
                builds[figure[-3:]] = None
                tally.add_value(trial, value, figure.source)
            elif trial.kind != _PREFLIGHT:
                tally.add_unmeasured(trial, absences.get(trial.attempt))
        # Named once for all values of the same bytes, of which a run has thousands.
        tally.builds = {Build(*hashes): None for hashes in builds}
        return tally

    def _valued(self, metric: str) -> dict[int, tuple[float, Row[Any]]]:
        """Return the values of a metric by attempt, each with the measurement that has the value."""
        if metric not in self._values:
            name, column = sampled_quantile(metric) or (metric, "value")
            values = {attempt: (getattr(row, column), row) for attempt, row in self._figures[name].items()}
            # A trial may have reported a number under the very name of a percentile.
            if name != metric:
                values |= {attempt: (row.value, row) for attempt, row in self._figures[metric].items()}
            self._values[metric] = {attempt: one for attempt, one in values.items() if one[0] is not None}
        return self._values[metric]


_OF_RUN = and_(t.run_device.c.run_id == bindparam("run"), t.trial.c.kind != TrialKind.PROFILE.value)
_COUNTED = t.attempt.alias("counted")
_FAILED = t.attempt.alias("failed")
_LATER = t.attempt.alias("later")
_IS_LAST = (
    ~select(_LATER.c.id).where(_LATER.c.trial_id == _FAILED.c.trial_id, _LATER.c.ordinal > _FAILED.c.ordinal).exists()
)
_FROM_RUN = t.run_device.join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
_FROM_COUNTED = _FROM_RUN.join(_COUNTED, and_(_COUNTED.c.trial_id == t.trial.c.id, _COUNTED.c.counted))
_COUNTED_TRIALS: Select[Any] = (
    select(
        t.trial.c.job_id,
        t.trial.c.kind,
        _COUNTED.c.id.label("attempt"),
        _COUNTED.c.exclusive,
        t.power_account.c.attempt_id.label("account"),
        t.power_account.c.reason,
        t.power_account.c.energy_reason,
        t.power_account.c.caution,
    )
    .select_from(_FROM_COUNTED.outerjoin(t.power_account, t.power_account.c.attempt_id == _COUNTED.c.id))
    .where(_OF_RUN)
    .order_by(t.trial.c.job_id, t.trial.c.trial_index)
)
# Grouped, because a run that has just begun lacks thousands of trials. A failed trial has the reason of its last try.
_LOST = (
    t.trial.c.job_id,
    t.trial.c.kind,
    t.trial.c.state,
    t.trial.c.skip_reason,
    _FAILED.c.failure_kind,
    _FAILED.c.failure_message,
)
_LOST_TRIALS: Select[Any] = (
    select(*_LOST, func.count().label("trials"))
    .select_from(
        _FROM_RUN.outerjoin(_COUNTED, and_(_COUNTED.c.trial_id == t.trial.c.id, _COUNTED.c.counted)).outerjoin(
            _FAILED, and_(_FAILED.c.trial_id == t.trial.c.id, t.trial.c.state == TrialState.FAILED.value, _IS_LAST)
        )
    )
    .where(_OF_RUN, _COUNTED.c.id.is_(None))
    .group_by(*_LOST)
    .order_by(t.trial.c.job_id, func.min(t.trial.c.trial_index))
)
_METRICS: BindParameter[Sequence[str]] = bindparam("metrics", expanding=True)
_FIGURES: Select[Any] = (
    select(
        t.measurement.c.attempt_id,
        t.measurement.c.metric,
        t.measurement.c.value,
        t.measurement.c.p90,
        t.measurement.c.p99,
        t.measurement.c.source,
        # The last three: a `Build`.
        t.measurement.c.model_sha256,
        t.measurement.c.runtime_sha256,
        t.measurement.c.worker_sha256,
    )
    .select_from(
        _FROM_COUNTED.join(
            t.measurement, and_(t.measurement.c.attempt_id == _COUNTED.c.id, t.measurement.c.metric.in_(_METRICS))
        )
    )
    .where(_OF_RUN)
)
_ABSENCES: Select[Any] = (
    select(t.absent_metric.c.attempt_id, t.absent_metric.c.metric, t.absent_metric.c.reason)
    .select_from(
        _FROM_COUNTED.join(
            t.absent_metric, and_(t.absent_metric.c.attempt_id == _COUNTED.c.id, t.absent_metric.c.metric.in_(_METRICS))
        )
    )
    .where(_OF_RUN)
)
