"""Define the roles of the database as Protocols. `Roles` has each role as an attribute.

`run` is a run's id, and `device` a device's name. `leases` maps the name of a device to the id of the writer's lease.
Without `leases` a write is not checked against leases. Every method raises StoreError if the database fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.device import Device
from orchestrator.domain.errors import LeaseLost, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.input_results import CellInputResults
from orchestrator.domain.lease import Busy, Granted, Holding, LeaseRequest
from orchestrator.domain.measurement import CellOutputs, CellResult
from orchestrator.domain.model import Model
from orchestrator.domain.plan.extend import ExtendedPlan
from orchestrator.domain.plan.values import PreparedPlan
from orchestrator.domain.recovery import Quarantine, RecoveryEvent, Rung
from orchestrator.domain.remark import CellRemark
from orchestrator.domain.run import (
    DeviceRunState,
    ExcludedCell,
    Ingested,
    Offset,
    PreparedRecords,
    RunHeader,
    RunRecord,
    Standing,
)
from orchestrator.domain.run_words import NewWords
from orchestrator.store.nightly_roles import Annotations as Annotations
from orchestrator.store.nightly_roles import Baselines as Baselines
from orchestrator.store.nightly_roles import Nights as Nights
from orchestrator.store.nightly_roles import Regressions as Regressions
from orchestrator.store.page_roles import Cells as Cells
from orchestrator.store.page_roles import Fleet as Fleet
from orchestrator.store.page_roles import Lineages as Lineages
from orchestrator.store.page_roles import PageRoles as PageRoles
from orchestrator.store.queue_roles import QueueRoles
from orchestrator.store.run_roles import ConditionAccounts as ConditionAccounts
from orchestrator.store.run_roles import PowerAccounts as PowerAccounts
from orchestrator.store.run_roles import RunProgress as RunProgress
from orchestrator.store.run_roles import WordRoles as WordRoles
from orchestrator.store.series_roles import BuildRecords as BuildRecords
from orchestrator.store.series_roles import ExportRecords as ExportRecords
from orchestrator.store.series_roles import SeriesRecords as SeriesRecords
from orchestrator.store.series_roles import SeriesRoles as SeriesRoles


class DeviceRecords(Protocol):
    """Keep devices and dated facts."""

    def save_snapshots(
        self, taken: Sequence[tuple[Device, Facts]], taken_at: datetime
    ) -> Mapping[str, int | StoreError]:
        """Record dated facts of devices. Return by device the snapshot's id, or the reason of a refusal."""

    def latest_facts(self, names: Sequence[str]) -> Mapping[str, tuple[Facts, datetime]]:
        """Return the newest facts of each named device with the date. Devices without a snapshot are left out."""


class RunRecords(Protocol):
    """Keep runs and states."""

    def create_run(
        self,
        header: RunHeader,
        model: Model,
        devices: Sequence[Device],
        words: NewWords = ...,
        further: Sequence[Model] = ...,
    ) -> None:
        """Record a run with all devices as `planned`, the models with all variants, and the first words.

        `further` are the models of a run of several behind the first.
        Raise StoreError if a run with the same id exists.
        """

    def standings(self, run: str, devices: Collection[str]) -> Mapping[str, Standing]:
        """Return the standings of devices of a run, by name. Devices outside of the run are left out."""

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
        """Record the state of a device in a run. The state and the end of the run follow from all device states.

        `error` is the reason of a bad state, `hint` the remedy. Raise LeaseLost if the writer's lease of the device has
        ended. Raise LeaseLost also if the writer has no lease of the device and another controller has a lease for the
        run.
        """

    def find_run(self, run: str) -> RunRecord | None:
        """Return a run by id, name or unique prefix of either, or as "last". Return None if no run matches.

        "last" is the newest run that had a device and is not excluded. Raise ConfigError for an ambiguous text.
        """

    def newest_of_sweep(self, sweep: str) -> RunRecord | None:
        """Return the newest run of a sweep's name, in any state, or None."""


class PlanRecords(Protocol):
    """Keep plans byte for byte as shipped."""

    def save_plans(
        self, run: str, plans: Sequence[PreparedPlan], leases: Mapping[str, int] | None = None
    ) -> Mapping[str, StoreError]:
        """Record plans with jobs and trials. Recording the same plan again is no change.

        Return by device the reason why a plan is refused: LeaseLost if another controller has taken over the device.
        No part of a refused plan is stored. The other plans are stored.
        """

    def extend_plans(self, run: str, plans: Sequence[ExtendedPlan]) -> None:
        """Record extended plans with the added trials, all in a single transaction. Complete devices become `stopped`.

        Raise StoreError, with no plan recorded, if a device has another plan by now than the extended plan.
        """

    def plan_document(self, run: str, device: str) -> bytes | None:
        """Return the bytes of a device's plan exactly as shipped, or None before there is a plan."""

    def sent_blobs(self, devices: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return by device the hashes of the blobs of its newest plans that ran. Devices without one are left out."""


class DeviceLogs(Protocol):
    """Store the records of device logs: the only way in for results."""

    def ingest(
        self, batch: Sequence[RecordsArrived], leases: Mapping[str, int] | None = None, *, short_only: bool = False
    ) -> Sequence[Ingested]:
        """Store the new records of a batch exactly once, in the same transaction as the offsets of the logs.

        Records up to the offset of the same log are ignored. A new `log_id` begins at record 1, because the old log is
        lost. `runner-started` sets the device's state to running. `run-finished` sets the state to complete,
        cancelled or, after a full disk, stopped. Events of an unknown kind only move the offset. With `short_only` the
        records of each log are stored up to the first long record, and the rest is left to the caller: the work of a
        long record would hold up every other log.

        Raise CorruptLog, naming the device, for a gap, a corrupt record, nonsense, or the log of another run. The
        records before the bad record are then stored, and no others of the batch. The caller can ingest the batch
        again without the device. Raise LeaseLost if a lease of the writer has ended. No record of the batch is then
        stored.
        """

    def prepare(self, arrived: RecordsArrived) -> PreparedRecords:
        """Read and check records without writing any. Safe in another thread, beside any other call.

        Bad records are part of the result.
        """

    def ingest_prepared(self, prepared: PreparedRecords, leases: Mapping[str, int] | None = None) -> Ingested:
        """Store prepared records as `ingest` does. Records stored since are ignored.

        Raise CorruptLog or LeaseLost as `ingest` does.
        """

    def offset(self, run: str, device: str) -> Offset:
        """Return the last committed record of a device's present log: log id and `seq`, or None and 0."""


class Leases(Protocol):
    """Grant the use of devices, by the database's clock. `orchestrator.domain.lease` has the rules."""

    def request_leases(
        self, devices: Sequence[Device], request: LeaseRequest, waiting: Mapping[str, int] | None = None
    ) -> Mapping[str, Granted | Busy]:
        """Ask for the lease of each device, all in a single transaction. Each device is granted or refused separately.

        `waiting` maps devices to places in the queue, from an earlier answer (`Busy.waiting`). A place is renewed, and
        granted in turn.
        """

    def confirm_leases(
        self, devices: Sequence[Device], request: LeaseRequest, held: Mapping[str, int]
    ) -> Mapping[str, Busy]:
        """Look again at granted leases once the machine of each device is known by a snapshot of facts.

        `held` maps devices to granted leases. If another name of the same machine is in use, the lease becomes a place
        in the queue, or ends. Return the answer for each such device.
        """

    def renew_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        """Extend leases. `leases` maps the id of a lease to the length from now, in seconds.

        An expired lease is extended too, if no other controller got the device in the meantime. Return an error for
        each ended lease. The error names the present holder of the device.
        """

    def leave_leases(self, leases: Mapping[int, float]) -> Sequence[LeaseLost]:
        """Extend leases as `renew_leases` does, for the last time: the devices go on by themselves."""

    def end_leases(self, leases: Sequence[int]) -> None:
        """Give back leases or places in a queue, by id. Ended leases are left alone."""

    def holdings(self, names: Sequence[str]) -> Mapping[str, Holding]:
        """Return by device the present leases, the leases of other names of the machine, and the length of the queue.

        Free devices of free machines are left out.
        """

    def unreleased(self, run: str) -> frozenset[str]:
        """Return the devices with a lease for the run, expired leases included, ended leases excluded."""

    def database_id(self) -> str:
        """Return the identity of the database, by which devices remember tokens. The first call creates it."""


class RecoveryRecords(Protocol):
    """Keep the rungs climbed for failing devices, and the quarantines."""

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
        """Record the beginning of a rung for a device of a run, and return the event's id.

        The rung began `ago_s` seconds ago. Raise LeaseLost if the writer's lease of the device has ended. The caller
        must then leave the device alone.
        """

    def end_rung(self, event: int, succeeded: bool, rung: Rung | None = None) -> None:
        """Record the end of a rung, and whether the device was back. `rung`, if given, replaces the recorded rung."""

    def recovery_events(self, run: str) -> Sequence[RecoveryEvent]:
        """Return the rungs climbed in a run, in the order of beginning."""

    def quarantines(self, names: Sequence[str]) -> Mapping[str, Quarantine]:
        """Return by device the quarantines of the named devices. Other devices are left out."""

    def quarantine(self, device: Device, reason: str, holder: str, run: str | None = None) -> Quarantine:
        """Put a device into quarantine. A device already in quarantine keeps the first reason.

        `holder` is user@host, and `run` the run of the failed recovery.
        """

    def readmit(self, name: str, holder: str) -> Quarantine | None:
        """End and return a device's quarantine. Return None if there was none."""


class Results(Protocol):
    """Read the results of runs for comparisons."""

    def cell_results(self, run: str, metric: str) -> Sequence[CellResult]:
        """Return a row for each job of a run, jobs without any value included.

        A row holds a value for each counted measure trial. If only the preflight has the metric (accuracy), the row
        holds the preflight's value.
        """

    def results_in_metrics(self, run: str, metrics: Sequence[str]) -> Mapping[str, Sequence[CellResult]]:
        """Return the rows of `cell_results` for each metric, all of one moment."""

    def measured_metrics(self, run: str) -> Sequence[str]:
        """Return the names of all metrics of the run's counted attempts, in alphabetical order."""

    def newest_run_with_results(self) -> str | None:
        """Return the id of the newest run with a measured trial, or None."""

    def earlier_run(self, sweep: str, but: str, started: datetime | None, ended: datetime | None) -> str | None:
        """Return the newest run of a sweep with a measured trial, but `but`: begun and over before two moments."""

    def variant_parents(self, run: str) -> Mapping[tuple[str, str], str | None]:
        """Return the parent of each variant of the run's models, by model and variant. The first variant has None."""

    def excluded_cells(self, run: str) -> Sequence[ExcludedCell]:
        """Return the cells left out of the devices' plans, with the reasons."""

    def proof_remarks(self, run: str) -> Sequence[CellRemark]:
        """Return the cells whose preflight kept no outputs, or clipped inputs, with the reasons."""

    def cell_input_results(self, run: str) -> Sequence[CellInputResults]:
        """Return the results by input of a run's jobs: the preflight's, or else the first trial's with any."""

    def cell_outputs(self, run: str) -> Sequence[CellOutputs]:
        """Return the outputs of the preflights of a run. Jobs without outputs are left out."""


class Roles(SeriesRoles, WordRoles, QueueRoles, Protocol):
    """Have every role of an open database."""

    @property
    def devices(self) -> DeviceRecords:
        """Return the role for devices and dated facts."""

    @property
    def runs(self) -> RunRecords:
        """Return the role for runs and states."""

    @property
    def plans(self) -> PlanRecords:
        """Return the role for plans."""

    @property
    def logs(self) -> DeviceLogs:
        """Return the role for device logs."""

    @property
    def progress(self) -> RunProgress:
        """Return the role for the progress of runs."""

    @property
    def results(self) -> Results:
        """Return the role for results."""

    @property
    def power(self) -> PowerAccounts:
        """Return the role for power accounts."""

    @property
    def conditions(self) -> ConditionAccounts:
        """Return the role for conditions."""

    @property
    def leases(self) -> Leases:
        """Return the role for leases."""

    @property
    def recovery(self) -> RecoveryRecords:
        """Return the role for recoveries and quarantines."""

    @property
    def baselines(self) -> Baselines:
        """Return the role for baselines."""

    @property
    def nights(self) -> Nights:
        """Return the role for nights."""

    @property
    def regressions(self) -> Regressions:
        """Return the role for regressions."""

    @property
    def annotations(self) -> Annotations:
        """Return the role for annotations."""

    @property
    def cells(self) -> Cells:
        """Return the role for single cells of a run."""


class SqlConsole(Protocol):
    """Answer SQL typed by people. Implementations are unable to write."""

    def query(
        self, statement: str, limit: int | None = None, values: Sequence[str] = ()
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the column names and at most `limit` rows of a statement. `values` stand for $1, $2, ….

        The rows are read while the caller iterates. Raise ConfigError for a wrong statement, for an attempt to
        write, and for too much time or memory.
        """

    def close(self) -> None:
        """End running statements, and close the database."""
