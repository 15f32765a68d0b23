"""What services ask of the database, by role; one object may play them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Busy, Claim, Granted, Holding
from orchestrator.domain.measurement import CellOutputs, CellResult
from orchestrator.domain.model import Model
from orchestrator.domain.plan import PreparedPlan
from orchestrator.domain.recovery import Quarantine, RecoveryEvent, Rung
from orchestrator.domain.run import (
    DeviceRunState,
    ExcludedCell,
    Ingested,
    MissingTrial,
    Offset,
    RunHeader,
    RunRecord,
    Standing,
)


class DeviceRecords(Protocol):
    """Devices and their dated facts."""

    def save_snapshots(
        self, taken: Sequence[tuple[Device, Facts]], taken_at: datetime
    ) -> Mapping[str, int | StoreError]:
        """Record what devices say of themselves, unchanged facts too: a snapshot is dated.

        Return, by device, the snapshot's id, or why its facts cannot be stored.
        """

    def latest_facts(self, names: Sequence[str]) -> Mapping[str, tuple[Facts, datetime]]:
        """Return the newest snapshot of each device that has one."""


class RunRecords(Protocol):
    """Runs, their plans and their states."""

    def create_run(self, header: RunHeader, model: Model, devices: Sequence[Device]) -> None:
        """Record a run with its devices, all `planned`, and the model with its variants."""

    def save_plans(
        self, run: str, plans: Sequence[PreparedPlan], leases: Mapping[str, int] | None = None
    ) -> Mapping[str, StoreError]:
        """Record plans with their jobs and trials; the same plan again changes nothing.

        `leases` are those that the writer has of the devices. Return, by device, why a plan is refused (LeaseLost where
        another controller has the device by now); nothing of it is stored, and the others are.
        """

    def plan_document(self, run: str, device: str) -> bytes | None:
        """Return the plan exactly as it was shipped."""

    def standing(self, run: str, device: str) -> Standing:
        """Return where a device of a run stands."""

    def set_device_state(
        self,
        run: str,
        device: str,
        state: DeviceRunState,
        error: str | None = None,
        hint: str | None = None,
        *,
        leases: Mapping[str, int] | None = None,
    ) -> None:
        """Record where a device stands; the run's own state and end follow from it.

        Raise LeaseLost where the writer's lease of the device has ended, or where it has none and another controller
        has one for this run; without `leases` nothing is checked.
        """

    def find_run(self, run: str) -> RunRecord | None:
        """Return a run by id, by unique prefix or as "last"; raise ConfigError for an ambiguous prefix."""


class RunProgress(Protocol):
    """What of a run is in the database, and what is not."""

    def ingest(self, batch: Sequence[RecordsArrived], leases: Mapping[str, int] | None = None) -> Sequence[Ingested]:
        """Store every record of the batch that is new, in one transaction with the offsets; exactly once.

        Records at or below the offset of the same log are ignored. A gap, a corrupt record, one that makes no sense or
        another run's log raises CorruptLog naming the device: what precedes it in that log is stored, nothing else of
        the batch is, and the batch without that device can be ingested at once. A new `log_id` begins at 1: the device
        lost its old log. `runner-started` sets the device's state to running, `run-finished` to complete, cancelled or
        (its disk is full) stopped. Events of an unknown kind only move the offset. `leases` are those that the writer
        has of the devices; LeaseLost says that one has ended: nothing of the batch is stored then.
        """

    def offset(self, run: str, device: str) -> Offset:
        """Return how far the device's log is committed."""

    def done_trials(self, run: str, device: str, retry_failed: bool) -> Sequence[str]:
        """Return the trials that must not run again.

        Those are the measured ones and, without `retry_failed`, the skipped ones and those that failed or were invalid
        more often than the plan grants retries; a cancelled attempt is no failure. An invalid preflight is never done.
        """

    def missing_trials(self, run: str) -> Sequence[MissingTrial]:
        """Return every measure trial without a usable result, and why, in the order of the plans.

        Skipped ones are among them, but leave nothing to wait for: that their cell does not work is known.
        """


class Leases(Protocol):
    """Who may use a device, by the database's clock; see `orchestrator.domain.lease`."""

    def claim_leases(
        self, devices: Sequence[Device], claim: Claim, waiting: Mapping[str, int] | None = None
    ) -> Mapping[str, Granted | Busy]:
        """Claim devices, each for itself, in one transaction.

        `waiting` are the claim's places in the queues, from an earlier answer: they are renewed, and granted in turn.
        """

    def renew_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        """Let leases last so many seconds from now, expired ones too if nobody else has claimed the device meanwhile.

        Return those that have ended, each saying who has the device instead.
        """

    def end_leases(self, leases: Sequence[int]) -> None:
        """Give leases back, or places in a queue; those that have ended already are left alone."""

    def holdings(self, names: Sequence[str]) -> Mapping[str, Holding]:
        """Return who has each device, and how many wait for it; devices that nobody has or wants are left out."""

    def unreleased(self, run: str) -> frozenset[str]:
        """Return the devices that a controller of the run has neither given back nor lost, expired leases too."""

    def database_id(self) -> str:
        """Return what devices know this database by; made at the first call."""


class RecoveryRecords(Protocol):
    """What was tried for devices that failed, and which no run may use."""

    def begin_rung(
        self,
        run: str,
        device: str,
        rung: Rung,
        reason: str,
        *,
        ago_s: float = 0.0,
        leases: Mapping[str, int] | None = None,
    ) -> int:
        """Record that a rung is climbed for a device of a run, or has been since `ago_s`; return the event's id.

        Raise LeaseLost where the writer's lease of the device has ended: nothing is done to it then.
        """

    def end_rung(self, event: int, succeeded: bool, rung: Rung | None = None) -> None:
        """Record whether the device was back after a rung, and which it turned out to be, if another."""

    def recovery_events(self, run: str) -> Sequence[RecoveryEvent]:
        """Return what was tried in a run, in that order."""

    def quarantines(self, names: Sequence[str]) -> Mapping[str, Quarantine]:
        """Return which of these devices no run may use, and why."""

    def quarantine(self, device: Device, reason: str, holder: str, run: str | None = None) -> Quarantine:
        """Keep further runs from a device; one that is in quarantine already stays so for its first reason."""

    def readmit(self, name: str, holder: str) -> Quarantine | None:
        """End a device's quarantine; return it, or None where there was none."""


class Results(Protocol):
    """What comparisons read."""

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        """Return one row per job of the run, jobs without any value included.

        Values are those of measure trials, or the preflight's where only that has the metric (accuracy).
        """

    def measured_metrics(self, run: str) -> Sequence[str]:
        """Return the names of the metrics that counted attempts of the run have, in alphabetical order."""

    def newest_run_with_results(self) -> str | None:
        """Return the newest run of which a measure trial counts; None if there is none."""

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        """Return the cells that devices of the run were not asked for, and why."""

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        """Return the preflight outputs of each job that has them."""


class SqlConsole(Protocol):
    """Plain SQL over the views, by people; unable to write."""

    def query(self, statement: str, limit: int | None = None) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return column names and rows; raise ConfigError for a statement that is wrong or would write."""
