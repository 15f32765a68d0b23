"""Execute a sweep on devices: record the run, drive it, and say what is missing at the end."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from orchestrator import __version__
from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, ExitCode
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.model import Model
from orchestrator.domain.recovery import RecoveryEvent
from orchestrator.domain.run import DeviceRunState, ExcludedCell, MissingTrial, RunHeader, RunRecord, TrialState
from orchestrator.domain.sweep import Sweep
from orchestrator.services.drive import Driver, DriverParts, Intent
from orchestrator.services.reserve import require_reservation
from orchestrator.store.base import RecoveryRecords, Results, RunProgress, RunRecords

HEADLINE_METRIC = "latency_ns"


class RunReader(RunRecords, RunProgress, Results, RecoveryRecords, Protocol):
    """The roles of the database that reading a run needs."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A run as it stands: headline results, trials without a usable one, cells that it left out, and recoveries.

    `taken_over` are the devices that went on under another controller: what became of them there is not ours to say.
    """

    record: RunRecord
    missing: tuple[MissingTrial, ...]
    results: tuple[CellResult, ...]
    excluded: tuple[ExcludedCell, ...] = ()
    recovery: tuple[RecoveryEvent, ...] = ()
    taken_over: frozenset[str] = frozenset()

    @property
    def exit_code(self) -> ExitCode:
        """Return 0 for whole, 3 for missing trials or devices or no trial at all, 4 where no device could be used.

        Trials that were skipped because their cell was rejected by its preflight are not missing: that is a result.
        """
        states = [part.state for part in self.record.devices]
        if states and all(state is DeviceRunState.FAILED for state in states):
            return ExitCode.INFRASTRUCTURE
        if self.taken_over:
            return ExitCode.INCOMPLETE
        lacking = [trial for trial in self.missing if trial.state is not TrialState.SKIPPED]
        if not self.results or lacking or any(state is not DeviceRunState.COMPLETE for state in states):
            return ExitCode.INCOMPLETE
        return ExitCode.FINE


def new_run(sweep: Sweep, document: str, model: Model, settings: Mapping[str, Any]) -> RunHeader:
    """Return the header of a run that begins now; its id sorts by time and never repeats."""
    now = datetime.now(UTC)
    return RunHeader(
        run=f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        sweep=sweep.name,
        sweep_document=document,
        sweep_source=sweep.source,
        model=model.name,
        model_directory=model.directory,
        seed=sweep.order.seed,
        started_at=now,
        controller=f"benchfleet {__version__} on {socket.gethostname()}",
        settings=settings,
    )


def run_sweep(
    header: RunHeader, model: Model, devices: Sequence[Device], parts: DriverParts, intent: Intent = Intent.RUN
) -> RunOutcome:
    """Record the run and drive it to its end (RUN), or only until every runner has started (DETACH)."""
    require_reservation(parts.tenant, [device.name for device in devices], parts.store)
    parts.store.create_run(header, model, devices)
    taken_over = Driver(header.run, intent, parts).drive(devices)
    return outcome_of(parts.store, header.run, taken_over)


def require_run(store: RunRecords, run: str) -> RunRecord:
    """Return a run by id, unique beginning or "last"; raise ConfigError where there is none."""
    record = store.find_run(run)
    if record is None:
        words = "there is no run yet" if run == "last" else f"there is no run {run!r}"
        raise ConfigError(words, "benchfleet runs list shows what there is; is it the right --db?")
    return record


def outcome_of(store: RunReader, run: str, taken_over: frozenset[str] = frozenset()) -> RunOutcome:
    """Read back how a run stands; `run` is a whole run id."""
    record = store.find_run(run)
    assert record is not None
    results = tuple(store.cell_results(run, HEADLINE_METRIC))
    excluded = tuple(store.excluded_cells(run))
    recovery = tuple(store.recovery_events(run))
    return RunOutcome(record, tuple(store.missing_trials(run)), results, excluded, recovery, taken_over)
