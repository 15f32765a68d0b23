"""Runs: how they begin, where they stand, how people find them again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, select

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.model import Model
from orchestrator.domain.plan import PreparedPlan, TrialKind
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    Offset,
    RunHeader,
    RunRecord,
    Standing,
    TrialState,
    run_state,
)
from orchestrator.store import tables as t
from orchestrator.store.devices import remember_device
from orchestrator.store.engine import Database
from orchestrator.store.fencing import fenced_off
from orchestrator.store.plans import PlanWriter
from orchestrator.store.run_states import NewState, change_device_states
from orchestrator.store.upsert import upsert

LAST = "last"
_AMBIGUOUS_SHOWN = 5


class RunTable:
    """Plays `RunRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_run(self, header: RunHeader, model: Model, devices: Sequence[Device]) -> None:
        """Record a run with its devices, all `planned`, and the model with its variants."""
        with self._database.write() as connection:
            if connection.execute(select(t.run.c.id).where(t.run.c.id == header.run)).first():
                raise StoreError(f"there is a run {header.run} already")
            connection.execute(
                insert(t.run),
                {
                    "id": header.run,
                    "sweep_id": _remember_sweep(connection, header),
                    "sweep_source": header.sweep_source,
                    "model_id": _remember_model(connection, model),
                    "model_directory": header.model_directory,
                    "seed": header.seed,
                    "started_at": header.started_at,
                    "controller": header.controller,
                    "settings": dict(header.settings),
                },
            )
            # in the order of names, as everybody who writes several devices: nobody waits in a circle
            known = {one.name: remember_device(connection, one) for one in sorted(devices, key=lambda one: one.name)}
            rows = [
                {
                    "run_id": header.run,
                    "device_id": known[device.name],
                    "state": DeviceRunState.PLANNED.value,
                }
                for device in devices
            ]
            if rows:
                connection.execute(insert(t.run_device), rows)

    def save_plans(
        self, run: str, plans: Sequence[PreparedPlan], leases: Mapping[str, int] | None = None
    ) -> Mapping[str, StoreError]:
        """Record plans with their jobs and trials; return, by device, why a plan is refused."""
        refused: dict[str, StoreError] = {}
        with self._database.write() as connection:
            refused.update(fenced_off(connection, {(run, one.plan.device) for one in plans}, leases))
            writer = PlanWriter(connection, run)
            for prepared in sorted(plans, key=lambda prepared: prepared.plan.device):
                if prepared.plan.device in refused:
                    continue
                try:
                    writer.record(prepared)
                except StoreError as error:
                    refused[prepared.plan.device] = error
        return refused

    def plan_document(self, run: str, device: str) -> bytes | None:
        """Return the plan exactly as it was shipped."""
        with self._database.read() as connection:
            document = connection.execute(_of_device(select(t.run_device.c.plan_document), run, device)).scalar()
        return None if document is None else document.encode()

    def standing(self, run: str, device: str) -> Standing:
        """Return where a device of a run stands."""
        columns = select(t.run_device.c.state, t.run_device.c.error, t.run_device.c.hint)
        with self._database.read() as connection:
            row = connection.execute(_of_device(columns, run, device)).one()
        return Standing(DeviceRunState(row.state), row.error, row.hint)

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
        """Record where a device stands; the run's own state and end follow from it."""
        with self._database.write() as connection:
            for lost in fenced_off(connection, {(run, device)}, leases).values():
                raise lost
            found = connection.execute(_of_device(select(t.run_device.c.id), run, device)).scalar()
            if found is None:
                raise StoreError(f"{device}: run {run} does not include this device")
            change_device_states(connection, {found: NewState(state, error, hint)})

    def find_run(self, run: str) -> RunRecord | None:
        """Return a run by id, by unique prefix or as "last"; raise ConfigError for an ambiguous prefix."""
        with self._database.read() as connection:
            if run == LAST:
                found = _records(connection, None, 1)
            else:
                matching = func.substr(t.run.c.id, 1, len(run)) == run
                found = _records(connection, t.run.c.id == run, 1) or _records(connection, matching, _AMBIGUOUS_SHOWN)
        if len(found) > 1:
            names = ", ".join(record.header.run for record in found)
            raise ConfigError(f"several runs begin with {run!r}: {names}", "give more of its name")
        return found[0] if found and run else None


def _remember_sweep(connection: Connection, header: RunHeader) -> int:
    digest = hashlib.sha256(header.sweep_document.encode()).hexdigest()
    return upsert(connection, t.sweep, {"name": header.sweep, "sha256": digest}, {"document": header.sweep_document})


def _remember_model(connection: Connection, model: Model) -> int:
    described = {"task": model.task, "description": model.description, "license": model.license}
    key = upsert(connection, t.model, {"name": model.name}, described)
    for variant in model.variants.values():
        upsert(
            connection,
            t.model_variant,
            {"model_id": key, "name": variant.name, "sha256": variant.sha256},
            {
                "precision": variant.precision,
                "made": variant.made,
                "parent": variant.parent,
                "base": _base(model, variant.name),
                "declared_accuracy": dict(variant.accuracy),
            },
        )
    return key


def _base(model: Model, name: str) -> str:
    """Return the first ancestor of a variant; a circle ends where it began."""
    seen = {name}
    while (parent := model.variants[name].parent) is not None and parent in model.variants and parent not in seen:
        seen.add(parent)
        name = parent
    return name


def _of_device(statement: Select[Any], run: str, device: str) -> Select[Any]:
    return statement.join(t.device, t.device.c.id == t.run_device.c.device_id).where(
        t.run_device.c.run_id == run, t.device.c.name == device
    )


def _records(connection: Connection, condition: ColumnElement[bool] | None, limit: int) -> list[RunRecord]:
    statement = (
        select(
            t.run,
            t.sweep.c.name.label("sweep"),
            t.sweep.c.document.label("sweep_document"),
            t.model.c.name.label("model"),
        )
        .join(t.sweep, t.sweep.c.id == t.run.c.sweep_id)
        .join(t.model, t.model.c.id == t.run.c.model_id)
        .order_by(t.run.c.started_at.desc(), t.run.c.id.desc())
        .limit(limit)
    )
    rows = connection.execute(statement if condition is None else statement.where(condition)).all()
    runs = [row.id for row in rows]
    devices = _device_runs(connection, runs)
    missing = _runs_with_missing_trials(connection, runs)
    return [_record(row, devices.get(row.id, []), trials_missing=row.id in missing) for row in rows]


def _record(row: Row[Any], devices: Sequence[DeviceRun], *, trials_missing: bool) -> RunRecord:
    header = RunHeader(
        run=row.id,
        sweep=row.sweep,
        sweep_document=row.sweep_document,
        sweep_source=row.sweep_source,
        model=row.model,
        model_directory=row.model_directory,
        seed=row.seed,
        started_at=row.started_at,
        controller=row.controller,
        settings=row.settings,
    )
    state = run_state([device.state for device in devices], trials_missing=trials_missing)
    return RunRecord(header, state, row.finished_at, tuple(devices))


def _device_runs(connection: Connection, runs: Sequence[str]) -> dict[str, list[DeviceRun]]:
    counts: dict[int, dict[TrialState, int]] = {}
    for run_device, state, count in connection.execute(
        select(t.trial.c.run_device_id, t.trial.c.state, func.count())
        .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
        .where(t.run_device.c.run_id.in_(runs), t.trial.c.kind == TrialKind.MEASURE.value)
        .group_by(t.trial.c.run_device_id, t.trial.c.state)
    ):
        counts.setdefault(run_device, {})[TrialState(state)] = count
    statement = (
        select(t.run_device, t.device.c.name, t.device.c.transport, t.event_offset.c.last_seq)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .outerjoin(
            t.event_offset,
            (t.event_offset.c.run_device_id == t.run_device.c.id) & (t.event_offset.c.log_id == t.run_device.c.log_id),
        )
        .where(t.run_device.c.run_id.in_(runs))
        .order_by(t.run_device.c.id)
    )
    devices: dict[str, list[DeviceRun]] = {}
    for row in connection.execute(statement):
        devices.setdefault(row.run_id, []).append(
            DeviceRun(
                device=row.name,
                state=DeviceRunState(row.state),
                error=row.error,
                hint=row.hint,
                plan_sha256=row.plan_sha256,
                offset=Offset(row.log_id, row.last_seq or 0),
                trials=counts.get(row.id, {}),
                transport=TransportKind(row.transport),
            )
        )
    return devices


def _runs_with_missing_trials(connection: Connection, runs: Sequence[str]) -> frozenset[str]:
    rows = connection.execute(
        select(t.run_device.c.run_id)
        .distinct()
        .join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
        .where(
            t.run_device.c.run_id.in_(runs),
            t.trial.c.kind == TrialKind.MEASURE.value,
            t.trial.c.state.not_in((TrialState.MEASURED.value, TrialState.SKIPPED.value)),
        )
    )
    return frozenset(rows.scalars())
