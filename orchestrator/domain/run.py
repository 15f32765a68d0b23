"""One execution of a sweep, as the database knows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.domain.device import TransportKind


class RunState(StrEnum):
    """Where a whole run stands; derived from its devices."""

    ACTIVE = "active"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


class DeviceRunState(StrEnum):
    """Where one device of a run stands.

    planned -> running -> complete | cancelled | stopped (its log ended early) | failed (no log; `error` says why).
    """

    PLANNED = "planned"
    RUNNING = "running"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    FAILED = "failed"


UNDER_WAY = (DeviceRunState.PLANNED, DeviceRunState.RUNNING)


def run_state(devices: Collection[DeviceRunState], *, trials_missing: bool) -> RunState:
    """Return where a whole run stands.

    A run is complete when every device is and every measure trial is measured or skipped: a cell that its preflight
    rejects has a result, which is that it does not work there.
    """
    if any(state in UNDER_WAY for state in devices):
        return RunState.ACTIVE
    if DeviceRunState.CANCELLED in devices:
        return RunState.CANCELLED
    if trials_missing or any(state is not DeviceRunState.COMPLETE for state in devices):
        return RunState.INCOMPLETE
    return RunState.COMPLETE


class TrialState(StrEnum):
    """Where one trial stands: its counted attempt decides.

    planned -> running -> measured | invalid (broke a condition) | failed | skipped (its preflight failed).
    """

    PLANNED = "planned"
    RUNNING = "running"
    MEASURED = "measured"
    INVALID = "invalid"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What is fixed when a run begins; `sweep_document` is the sweep file's text, `settings` what the flags said."""

    run: str
    sweep: str
    sweep_document: str
    sweep_source: str
    model: str
    model_directory: str
    seed: int
    started_at: datetime
    controller: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a device's log is in the database; no log yet: None and 0."""

    log_id: str | None
    last_seq: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one device of a run stands, and why if badly."""

    state: DeviceRunState
    error: str | None
    hint: str | None


@dataclass(frozen=True, slots=True)
class DeviceRun:
    """One device of a run: its state, its counts of measure trials (preflights are none), and why it failed."""

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
    """A run with its devices."""

    header: RunHeader
    state: RunState
    finished_at: datetime | None
    devices: tuple[DeviceRun, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as one line of a list; preflights are no trials of it."""

    run: str
    sweep: str
    model: str
    state: RunState
    devices: int
    devices_complete: int
    trials: int
    trials_measured: int
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class MissingTrial:
    """A trial without a usable result, and why."""

    device: str
    label: str
    trial: str
    state: TrialState
    reason: str


@dataclass(frozen=True, slots=True)
class ExcludedCell:
    """A cell of the sweep that a device was not asked to run, and why."""

    device: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrialChange:
    """What an ingested record changed, for progress displays; `p50_ns` of latency where the trial measured it."""

    device: str
    trial: str
    label: str
    state: TrialState
    kind: str
    p50_ns: float | None = None
    temperature_c: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one commit achieved for one device: the new offset and what changed."""

    run: str
    device: str
    offset: Offset
    changes: tuple[TrialChange, ...]
