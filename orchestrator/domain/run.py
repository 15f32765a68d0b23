"""Describe runs as stored in the database. A run is an execution of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.domain.device import TransportKind
from orchestrator.domain.run_words import RunWords

MODELS_BETWEEN = ", "  # no name of a model has one
OVERRIDES = "set"
"""The key among a run's settings for what flags laid over the sweep file."""


class RunState(StrEnum):
    """Name the states of a whole run, derived from the states of all devices."""

    ACTIVE = "active"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


class DeviceRunState(StrEnum):
    """Name the states of a device in a run.

    planned -> running -> complete | cancelled | stopped (the log ended early) | failed (without a log).
    """

    PLANNED = "planned"
    RUNNING = "running"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    FAILED = "failed"


UNDER_WAY = (DeviceRunState.PLANNED, DeviceRunState.RUNNING)


def run_state(devices: Collection[DeviceRunState], *, trials_missing: bool) -> RunState:
    """Return the state of a whole run.

    A run is complete if every device is complete and no measure trial is lacking (`domain.allowed_failures`). A run
    without any measure trial lacks all.
    """
    if any(state in UNDER_WAY for state in devices):
        return RunState.ACTIVE
    # A person's decision counts more than what is missing because of it.
    if DeviceRunState.CANCELLED in devices:
        return RunState.CANCELLED
    if trials_missing or any(state is not DeviceRunState.COMPLETE for state in devices):
        return RunState.INCOMPLETE
    return RunState.COMPLETE


class TrialState(StrEnum):
    """Name the states of a trial. The counted attempt decides, or else the last attempt.

    planned -> running -> measured | invalid (broke a condition) | failed | skipped (the preflight failed)
    | spared (the sweep's stop rule had enough).
    """

    PLANNED = "planned"
    RUNNING = "running"
    MEASURED = "measured"
    INVALID = "invalid"
    FAILED = "failed"
    SKIPPED = "skipped"
    SPARED = "spared"


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """Count measure trials, the same for every command that tells of a run.

    A skipped trial failed with its preflight. `missing` counts the trials that have not run, or not to their end.
    A spared trial is none: nobody wants it any more.
    """

    measured: int = 0
    invalid: int = 0
    failed: int = 0
    missing: int = 0

    @property
    def planned(self) -> int:
        """Return the number of all trials."""
        return self.measured + self.invalid + self.failed + self.missing

    @property
    def shortfall(self) -> str:
        """Return in words what lacks a result: `2 failed, 1 invalid`; empty if nothing does."""
        counts = ((self.failed, "failed"), (self.invalid, "invalid"), (self.missing, "missing"))
        return ", ".join(f"{number} {word}" for number, word in counts if number)


def count_trials(states: Iterable[Mapping[TrialState, int]]) -> TrialCounts:
    """Return the counts of measure trials of several devices, each with its trials by state."""
    total: Counter[TrialState] = Counter()
    for one in states:
        total.update(one)
    return TrialCounts(
        measured=total[TrialState.MEASURED],
        invalid=total[TrialState.INVALID],
        failed=total[TrialState.FAILED] + total[TrialState.SKIPPED],
        missing=total[TrialState.PLANNED] + total[TrialState.RUNNING],
    )


@dataclass(frozen=True, slots=True)
class RunModel:
    """Name a model of a run, and the folder at the run's beginning."""

    name: str
    directory: str


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Hold the fixed parts of a run. `settings` are given by flags.

    `further` are the models of a run of several behind the first.
    `sweep_document` is the text of the sweep file, with the values that flags laid over the file.
    """

    run: str
    sweep: str
    sweep_document: str  # the whole text, since the file may have changed by the time of a resume
    sweep_source: str
    model: str
    model_directory: str
    seed: int
    started_at: datetime
    controller: str
    settings: Mapping[str, Any]
    further: tuple[RunModel, ...] = ()

    @property
    def models(self) -> tuple[RunModel, ...]:
        """Return every model, in the order of the sweep."""
        return (RunModel(self.model, self.model_directory), *self.further)

    @property
    def model_words(self) -> str:
        """Return the names of all models."""
        return MODELS_BETWEEN.join(model.name for model in self.models)

    @property
    def overrides(self) -> tuple[str, ...]:
        """Return the settings `KEY=VALUE` that flags laid over the sweep file."""
        return tuple(self.settings.get(OVERRIDES, ()))

    @property
    def sweep_path(self) -> str:
        """Return the path of the sweep file."""
        # The line is for errors about the declaration.
        return self.sweep_source.rpartition(":")[0] or self.sweep_source


@dataclass(frozen=True, slots=True)
class Offset:
    """Name the last record of a device's log in the database, or None and 0 without a log."""

    log_id: str | None
    last_seq: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Hold the standing of a device of a run: the state, and the reason of a bad state.

    `planned`: the plan is on record. `offset` is the last record of the device's present log in the database.
    """

    state: DeviceRunState
    error: str | None = None
    hint: str | None = None
    planned: bool = False
    offset: Offset = Offset(None, 0)


@dataclass(frozen=True, slots=True)
class DeviceRun:
    """Describe a device of a run. `trials` counts the measure trials by state. `error` is the reason of a bad state."""

    device: str
    state: DeviceRunState
    error: str | None
    hint: str | None
    plan_sha256: str | None
    offset: Offset
    trials: Mapping[TrialState, int]
    transport: TransportKind = TransportKind.SSH


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Hold a run with all devices."""

    header: RunHeader
    state: RunState
    finished_at: datetime | None
    devices: tuple[DeviceRun, ...]
    words: RunWords = field(default_factory=RunWords)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summarise a run for a list. Only measure trials are counted, and no preflights.

    `device_names` are in the order of names, as many as `devices` counts.
    """

    run: str
    sweep: str
    models: tuple[str, ...]
    state: RunState
    devices: int
    devices_complete: int
    counts: TrialCounts
    started_at: datetime
    finished_at: datetime | None
    device_names: tuple[str, ...] = ()
    words: RunWords = field(default_factory=RunWords)

    @property
    def model_words(self) -> str:
        """Return the names of all models."""
        return MODELS_BETWEEN.join(self.models)


@dataclass(frozen=True, slots=True)
class RunEffort:
    """Hold the time in which a run has measured, in seconds, and how many commands have worked at the run.

    Each is that of the device with the most. The time between two commands is no measuring time.
    """

    measuring_s: float | None = None
    sessions: int = 0


@dataclass(frozen=True, slots=True)
class SparedCell:
    """Hold a cell whose stop rule had enough: the measured trials, the spared ones, and the rule's words.

    `saved_s` is the time that the spared trials would have taken on the device, by the mean of the cell's counted
    trials, and None without one.
    """

    device: str
    label: str
    measured: int
    spared: int
    saved_s: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class MissingTrial:
    """Name a trial without a usable result, with the reason."""

    device: str
    label: str
    trial: str
    state: TrialState
    reason: str


@dataclass(frozen=True, slots=True)
class ExcludedCell:
    """Name a cell of the sweep left out of a device's plan, with the reason."""

    device: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialChange:
    """Report the change of a trial by an ingested record, for progress displays.

    `p50_ns` is the median latency in nanoseconds, if measured.
    """

    device: str
    trial: str
    label: str
    state: TrialState
    kind: str
    p50_ns: float | None = None
    temperature_c: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedRecords:
    """Carry the records of a log, read and checked, to the writing. The store alone knows the `content`."""

    run: str
    device: str
    content: object


@dataclass(frozen=True, slots=True)
class Ingested:
    """Report a commit for a device: the new offset, and the changes of trials.

    `left` are the lines from the first long record on, where short records alone were to be stored. `left_is_long`: a
    long record stands first there, rather than a short record too many.
    """

    run: str
    device: str
    offset: Offset
    changes: tuple[TrialChange, ...]
    left: bytes = b""
    left_is_long: bool = False
