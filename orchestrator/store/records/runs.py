"""Read and write runs: the beginning, the states, and the ways to find a run again."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, insert, or_, select

from orchestrator.domain.allowed_failures import is_lacking
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.model import Model
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.run import (
    DeviceRun,
    DeviceRunState,
    Offset,
    RunHeader,
    RunModel,
    RunRecord,
    Standing,
    TrialState,
    run_state,
)
from orchestrator.domain.run_words import NewWords
from orchestrator.store.records.devices import remember_device
from orchestrator.store.records.fencing import fenced_off
from orchestrator.store.records.relatives import relate_jobs_of_variants
from orchestrator.store.records.run_states import NewState, change_device_states
from orchestrator.store.records.run_words import first_columns, insert_tags, tags_of, words_in
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database
from orchestrator.store.sql.upsert import upsert, upsert_all
from orchestrator.store.values.sweep_text import allowed_in

LAST = "last"
_AMBIGUOUS_SHOWN = 5
_NO_WORDS = NewWords()


class RunTable:
    """Play the role `RunRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_run(
        self,
        header: RunHeader,
        model: Model,
        devices: Sequence[Device],
        words: NewWords = _NO_WORDS,
        further: Sequence[Model] = (),
    ) -> None:
        """Record a run with all devices as `planned`, and the models with all variants.

        `further` are the models of a run of several behind the first.
        """
        with self._database.write() as connection:
            if connection.execute(select(t.run.c.id).where(t.run.c.id == header.run)).first():
                raise StoreError(f"there is a run {header.run} already")
            # In the order of names, like all writers of models: two of them never wait for each other.
            models = {
                one.name: _remember_model(connection, one)
                for one in sorted((model, *further), key=lambda one: one.name)
            }
            connection.execute(
                insert(t.run),
                {
                    "id": header.run,
                    "sweep_id": _remember_sweep(connection, header),
                    "sweep_source": header.sweep_source,
                    "model_id": models[model.name],
                    "model_directory": header.model_directory,
                    "seed": header.seed,
                    "started_at": header.started_at,
                    "controller": header.controller,
                    "settings": dict(header.settings),
                    **first_columns(connection, words),
                },
            )
            of_run = [
                {"run_id": header.run, "position": place, "model_id": models[one.name], "directory": one.directory}
                for place, one in enumerate(header.models)
            ]
            connection.execute(insert(t.run_model), of_run)
            insert_tags(connection, header.run, words.tags, words.who)
            # In the order of names, like all writers of device rows: two of them never wait for each other.
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

    def standings(self, run: str, devices: Collection[str]) -> Mapping[str, Standing]:
        """Return the standings of devices of a run, by name. Devices outside of the run are left out."""
        if not devices:
            return {}
        with self._database.read() as connection:
            rows = connection.execute(_STANDINGS, {"run": run, "devices": sorted(devices)}).all()
        return {
            row.name: Standing(
                DeviceRunState(row.state),
                row.error,
                row.hint,
                row.planned,
                Offset(row.log_id, row.last_seq) if row.last_seq is not None else Offset(None, 0),
            )
            for row in rows
        }

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
        """Record the state of a device in a run. The state and the end of the run follow from all device states."""
        with self._database.write() as connection:
            for lost in fenced_off(connection, {(run, device)}, leases).values():
                raise lost
            found = connection.execute(of_device(select(t.run_device.c.id), run, device)).scalar()
            if found is None:
                raise StoreError(f"{device}: run {run} does not include this device")
            change_device_states(connection, {found: NewState(state, error, hint)})

    def find_run(self, run: str) -> RunRecord | None:
        """Return a run by id, name or unique prefix of either, or as "last". Return None if no run matches."""
        # An empty text is the beginning of every id.
        if not run:
            return None
        with self._database.read() as connection:
            found = next(filter(None, (_records(connection, one, _AMBIGUOUS_SHOWN) for one in _meanings(run))), [])
        if run == LAST or len(found) < 2:
            return found[0] if found else None
        alike = "are called" if all(record.words.name == run for record in found) else "begin with"
        names = ", ".join(f"{one.header.run}{f' ({one.words.name})' if one.words.name else ''}" for one in found)
        raise ConfigError(f"several runs {alike} {run!r}: {names}", "give more of its name, or its id")

    def newest_of_sweep(self, sweep: str) -> RunRecord | None:
        """Return the newest run of a sweep's name, in any state, or None."""
        newest = (
            select(t.run.c.id)
            .join(t.sweep, t.sweep.c.id == t.run.c.sweep_id)
            .where(t.sweep.c.name == sweep)
            .order_by(t.run.c.started_at.desc(), t.run.c.id.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            found = _records(connection, t.run.c.id == newest.scalar_subquery(), 1)
        return found[0] if found else None


def _meanings(run: str) -> Sequence[ColumnElement[bool]]:
    """Return what a text may mean, the most exact meaning first."""
    if run == LAST:
        return (and_(t.run.c.excluded_at.is_(None), or_(_PLANNED.exists(), _GRANTED.exists())),)

    def begins(column: ColumnElement[Any]) -> ColumnElement[bool]:
        # Not LIKE: there a % or _ in the given text would match anything.
        return func.substr(column, 1, len(run)) == run

    return t.run.c.id == run, t.run.c.name == run, or_(begins(t.run.c.id), begins(t.run.c.name))


# A run that was refused every device, or still waits for its first, has nothing to show, and is not `last`.
_PLANNED = select(t.run_device.c.id).where(t.run_device.c.run_id == t.run.c.id, t.run_device.c.plan_sha256.is_not(None))
# Of a device in quarantine the lease is granted first, and given back unused.
_BARRED = select(t.quarantine.c.id).where(
    t.quarantine.c.device_id == t.lease.c.device_id,
    t.quarantine.c.since <= t.lease.c.granted_at,
    or_(t.quarantine.c.ended_at.is_(None), t.quarantine.c.ended_at > t.lease.c.granted_at),
)
_GRANTED = select(t.lease.c.id).where(
    ~_BARRED.exists(),
    t.lease.c.run_id == t.run.c.id,
    t.lease.c.granted_at.is_not(None),
    # By the device too: leases have an index of devices, and none of runs.
    t.run_device.c.run_id == t.run.c.id,
    t.run_device.c.device_id == t.lease.c.device_id,
)


def _remember_sweep(connection: Connection, header: RunHeader) -> int:
    # A sweep is its text: an edited sweep of the same name is another row.
    digest = hashlib.sha256(header.sweep_document.encode()).hexdigest()
    return upsert(connection, t.sweep, {"name": header.sweep, "sha256": digest}, {"document": header.sweep_document})


def _remember_model(connection: Connection, model: Model) -> int:
    described = {"task": model.task, "description": model.description, "license": model.license}
    key = upsert(connection, t.model, {"name": model.name}, described)
    _remember_variants(connection, key, model)
    return key


def _remember_variants(connection: Connection, key: int, model: Model) -> None:
    """Record the model's variants. A variant of another lineage than before has other relatives, in all runs."""
    rows = [
        {
            "model_id": key,
            "name": variant.name,
            "sha256": artifact.sha256,
            "format": artifact.format.value,
            "precision": variant.precision,
            "made": artifact.made or variant.made,
            "parent": variant.parent,
            "base": _base(model, variant.name),
            "declared_accuracy": dict(variant.accuracy),
        }
        for variant in model.variants.values()
        for artifact in variant.artifacts
    ]
    known = {(row.name, row.sha256): row for row in connection.execute(_VARIANTS, {"model": key})}
    before = [(row, known.get((row["name"], row["sha256"]))) for row in rows]
    # Nearly every run begins with the variants of an earlier run: known rows are only read.
    changed = [row for row, found in before if found is None or any(row[name] != getattr(found, name) for name in row)]
    upsert_all(connection, t.model_variant, ("model_id", "name", "sha256"), changed)
    moved = [found.id for row, found in before if found and (row["parent"], row["base"]) != (found.parent, found.base)]
    relate_jobs_of_variants(connection, moved)


def _base(model: Model, name: str) -> str:
    """Return the name of a variant's first ancestor. In a circle of parents, the walk ends before repeating a name."""
    seen = {name}
    while (parent := model.variants[name].parent) is not None and parent in model.variants and parent not in seen:
        seen.add(parent)
        name = parent
    return name


def of_device(statement: Select[Any], run: str, device: str) -> Select[Any]:
    """Return a query of run devices for a device of a run."""
    return statement.join(t.device, t.device.c.id == t.run_device.c.device_id).where(
        t.run_device.c.run_id == run, t.device.c.name == device
    )


_VARIANTS = select(t.model_variant).where(t.model_variant.c.model_id == bindparam("model"))
_STANDINGS = (
    select(
        t.device.c.name,
        t.run_device.c.state,
        t.run_device.c.error,
        t.run_device.c.hint,
        t.run_device.c.plan_sha256.is_not(None).label("planned"),
        t.event_offset.c.log_id,
        t.event_offset.c.last_seq,
    )
    .select_from(
        t.run_device.join(t.device, t.device.c.id == t.run_device.c.device_id).outerjoin(
            t.event_offset,
            and_(
                t.event_offset.c.run_device_id == t.run_device.c.id,
                t.event_offset.c.log_id == t.run_device.c.log_id,
            ),
        )
    )
    .where(t.run_device.c.run_id == bindparam("run"), t.device.c.name.in_(bindparam("devices", expanding=True)))
)


def _records(connection: Connection, condition: ColumnElement[bool], limit: int) -> list[RunRecord]:
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
    rows = connection.execute(statement.where(condition)).all()
    runs = [row.id for row in rows]
    devices = _device_runs(connection, runs)
    lacking = _runs_that_lack_trials(connection, {row.id: row.sweep_document for row in rows})
    tags = tags_of(connection, runs)
    further = _further_models(connection, runs)
    return [
        _record(
            row,
            devices.get(row.id, []),
            tags.get(row.id, {}),
            tuple(further.get(row.id, ())),
            trials_missing=row.id in lacking,
        )
        for row in rows
    ]


def _further_models(connection: Connection, runs: Sequence[str]) -> Mapping[str, Sequence[RunModel]]:
    """Return the models behind the first of runs of several models, by run."""
    statement = (
        select(t.run_model.c.run_id, t.model.c.name, t.run_model.c.directory)
        .join(t.model, t.model.c.id == t.run_model.c.model_id)
        .where(t.run_model.c.run_id.in_(runs), t.run_model.c.position > 0)
        .order_by(t.run_model.c.run_id, t.run_model.c.position)
    )
    found: dict[str, list[RunModel]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.run_id, []).append(RunModel(row.name, row.directory))
    return found


def _record(
    row: Row[Any],
    devices: Sequence[DeviceRun],
    tags: Mapping[str, str],
    further: tuple[RunModel, ...],
    *,
    trials_missing: bool,
) -> RunRecord:
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
        further=further,
    )
    state = run_state([device.state for device in devices], trials_missing=trials_missing)
    return RunRecord(header, state, row.finished_at, tuple(devices), words_in(row, tags))


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
        # The offset of the present log only: a device which lost its log has begun another at 1 (decision 0004).
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


def _runs_that_lack_trials(connection: Connection, documents: Mapping[str, str]) -> frozenset[str]:
    """Return the runs with a lacking measure trial, or without any. `documents` are the texts of the runs' sweeps."""
    statement = (
        select(t.run_device.c.run_id, t.device.c.name, t.job.c.label, t.trial.c.state)
        .distinct()
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
        .join(t.job, t.job.c.id == t.trial.c.job_id)
        .where(t.run_device.c.run_id.in_(documents), t.trial.c.kind == TrialKind.MEASURE.value)
    )
    allowed = {run: allowed_in(document) for run, document in documents.items()}
    found: dict[str, bool] = {}
    for run, device, label, state in connection.execute(statement):
        found[run] = found.get(run, False) or is_lacking(allowed[run], device, label, TrialState(state))
    return frozenset(set(documents) - {run for run, lacks in found.items() if not lacks})
