"""What is known of a history once it is over, gathered from outside: database rows, logs, stamps, processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from tests.chaos.databases import ChaosDatabase, Row
from tests.chaos.device import ChaosDevice
from tests.chaos.device_logs import Finished
from tests.chaos.witness import METRIC, Sighting


@dataclass(frozen=True, slots=True)
class RunDevice:
    """How the database says that a device of a run stands, and the trials of its plan, byte for byte as shipped."""

    run: str
    device: str
    state: str
    error: str | None
    planned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A trial as the database has it; `reason` is why it has no result, if it has none."""

    run: str
    device: str
    trial: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt as the database has it; `number` is what its trial reported."""

    run: str
    device: str
    trial: str
    log_id: str
    finished_seq: int | None
    outcome: str | None
    counted: bool
    number: int | None


@dataclass(frozen=True, slots=True)
class SubmissionRow:
    """A run of the queue as the database has it."""

    run: str
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a verdict on a history rests on."""

    run_devices: Sequence[RunDevice] = ()
    trials: Sequence[TrialRow] = ()
    attempts: Sequence[AttemptRow] = ()
    finished: Sequence[Finished] = ()
    sightings: Sequence[Sighting] = ()
    left_running: Sequence[str] = ()
    locked: Sequence[str] = ()
    leases: Sequence[str] = ()
    left_on_disk: Sequence[str] = ()
    cancelled_runs: Sequence[str] = field(default_factory=tuple)
    submissions: Sequence[SubmissionRow] = ()

    def to_json(self) -> str:
        """Return it as text, for whoever looks into a history that failed."""
        return json.dumps(asdict(self), indent=1)


def gather(
    databases: Sequence[ChaosDatabase], devices: Sequence[ChaosDevice], cancelled_runs: Sequence[str]
) -> Evidence:
    """Look at everything once; the devices should be quiet."""

    def rows(statement: str) -> list[Row]:
        return [row for database in databases for row in database.rows(statement)]

    return Evidence(
        run_devices=[
            RunDevice(run, device, state, error, _planned(document))
            for run, device, state, error, document in rows(_RUN_DEVICES)
        ],
        trials=[TrialRow(*row) for row in rows(_TRIALS)],
        attempts=[
            AttemptRow(run, device, trial, log_id, seq, outcome, bool(counted), None if value is None else int(value))
            for run, device, trial, log_id, seq, outcome, counted, value in rows(_ATTEMPTS)
        ],
        finished=[found for device in devices for found in device.finished()],
        sightings=[seen for device in devices for seen in device.sightings()],
        left_running=[line for device in devices for line in device.left_running()],
        locked=[line for device in devices for line in device.locks_held()],
        leases=[line for database in databases for line in _held_leases(database)],
        left_on_disk=[line for device in devices for line in device.left_on_disk()],
        cancelled_runs=cancelled_runs,
        submissions=[SubmissionRow(*row) for row in rows("SELECT run_id, state, error FROM submission")],
    )


def _planned(document: str | None) -> tuple[str, ...]:
    return tuple(trial["trial"] for trial in json.loads(document)["trials"]) if document else ()


def _held_leases(database: ChaosDatabase) -> list[str]:
    """Return who holds a device by a lease that has not expired, where the database has leases."""
    if ("lease",) not in database.rows(database.tables):
        return []
    held = database.rows(
        "SELECT d.name, l.holder, l.expires_at FROM lease l JOIN device d ON d.id = l.device_id"
        f" WHERE l.ended_at IS NULL AND l.expires_at > {database.now}"
    )
    return [f"{device} by {holder} until {until}" for device, holder, until in held]


_OF = " JOIN run_device r ON r.id = t.run_device_id JOIN device d ON d.id = r.device_id"
_RUN_DEVICES = (
    "SELECT r.run_id, d.name, r.state, r.error, r.plan_document FROM run_device r JOIN device d ON d.id = r.device_id"
)
_TRIALS = (
    "SELECT r.run_id, d.name, t.key, t.state, COALESCE(t.skip_reason, (SELECT a.failure_kind FROM attempt a"
    " WHERE a.trial_id = t.id AND a.outcome = 'failed' ORDER BY a.ordinal DESC LIMIT 1)) FROM trial t" + _OF
)
_ATTEMPTS = (
    "SELECT r.run_id, d.name, t.key, a.log_id, a.finished_seq, a.outcome, a.counted, m.value"
    " FROM attempt a JOIN trial t ON t.id = a.trial_id" + _OF + " LEFT JOIN measurement m ON m.attempt_id = a.id"
    f" AND m.metric = '{METRIC}'"
)
