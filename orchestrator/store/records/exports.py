"""Stream what an export has, in parts that fit into memory whatever the size of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, select, true

from orchestrator.domain.errors import StoreError
from orchestrator.domain.export import SampleBlock
from orchestrator.domain.metric import unit_named
from orchestrator.domain.plan.values import TrialKind
from orchestrator.domain.series_history import Window
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.column_types import canonical_json
from orchestrator.store.sql.engine import Database

_ROWS_AT_ONCE, _BLOCKS_AT_ONCE = 2_000, 4
"""How many rows a driver holds. A block may have a million samples."""


class ExportTable:
    """Play the role `ExportRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs_within(self, window: Window) -> Sequence[str]:
        """Return the ids of the runs begun within a window, the oldest first, whatever their number."""
        statement = (
            select(t.run.c.id)
            .where(
                t.run.c.excluded_at.is_(None),
                true() if window.since is None else t.run.c.started_at >= window.since,
                true() if window.until is None else t.run.c.started_at < window.until,
            )
            .order_by(t.run.c.started_at, t.run.c.id)
        )
        with self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def measurement_rows(self, run: str, device: str, *, counted_only: bool) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield the measurements of a device of a run in parts, with the columns of `domain.export.MEASUREMENTS`."""
        statement = _measurements(run, device, counted_only)
        with self._database.read() as connection:
            result = connection.execute(statement, execution_options={"yield_per": _ROWS_AT_ONCE})
            for part in result.partitions():
                yield [_plain(tuple(row)) for row in part]

    def sample_blocks(self, run: str, device: str) -> Iterator[SampleBlock]:
        """Yield the raw samples of the counted measure trials, block by block. Raise StoreError for damaged samples."""
        for _, _, block in self._blocks(and_(t.run_device.c.run_id == run, t.device.c.name == device), None):
            yield block

    def cell_sample_blocks(self, jobs: Sequence[int], metric: str) -> Iterator[SampleBlock]:
        """Yield the raw samples of a metric of jobs, with the columns of `domain.export.CELL_SAMPLES`.

        Raise StoreError for damaged samples.
        """
        for run, device, block in self._blocks(t.job.c.id.in_(jobs), metric):
            yield SampleBlock((run, device, *block.same), block.samples)

    def _blocks(self, where: ColumnElement[bool], metric: str | None) -> Iterator[tuple[str, str, SampleBlock]]:
        # Imported late: only readers of raw samples need numpy.
        from device_worker.protocol.samples import CorruptSamples
        from orchestrator.store.values.codec import load_block

        statement = _blocks(where)
        if metric is not None:
            statement = statement.where(t.sample_block.c.metric == metric)
        with self._database.read() as connection:
            result = connection.execute(statement, execution_options={"yield_per": _BLOCKS_AT_ONCE})
            for row in result:
                same = _plain(tuple(row)[:8])
                try:
                    samples = load_block(row.codec, bytes(row.data), row.crc32, row.number)
                except CorruptSamples as error:
                    what = f"the samples of {row.metric} in attempt {row.attempt_id}"
                    raise StoreError(f"{what} are damaged: {error}", "restore a backup of the database") from None
                block = SampleBlock((*same, unit_named(row.metric), row.batch), samples)
                yield row.run_id, row.device_name, block


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row with JSON as text, the same for every database."""
    return tuple(canonical_json(value) if isinstance(value, dict | list) else value for value in row)


def _measurements(run: str, device: str, counted_only: bool) -> Select[Any]:
    a, m = t.attempt.c, t.measurement.c
    columns: tuple[ColumnElement[Any], ...] = (
        *(t.run.c.started_at, t.model.c.name, t.series.c.variant, t.series.c.runtime, t.job.c.settings),
        *(t.job.c.series_id, t.trial.c.key, t.trial.c.kind, t.trial.c.trial_index),
        *(a.id, a.ordinal, a.counted, a.invalid, a.started_at, a.stored_at, a.duration_ns),
        *(m.metric, m.unit, m.value, m.n, m.batch, m.p50, m.p50_ci_low, m.p50_ci_high, m.p90, m.p99, m.p99_9),
        *(m.mean, m.sd, m.mad, m.min, m.max, m.source, m.model_sha256, m.runtime_sha256, m.worker_sha256),
        *(t.device_snapshot.c.identity_hash, t.device_snapshot.c.environment_hash),
    )
    # Labelled by place: several tables have a column of the same name.
    labelled = (column.label(f"c{place}") for place, column in enumerate(columns))
    return (
        _with_coordinates(select(*labelled).join(t.measurement, m.attempt_id == a.id))
        .join(t.model, t.model.c.id == t.series.c.model_id)
        .outerjoin(t.device_snapshot, t.device_snapshot.c.id == t.run_device.c.snapshot_id)
        .where(t.run_device.c.run_id == run, t.device.c.name == device, a.counted if counted_only else true())
        .order_by(t.trial.c.position, a.ordinal, m.metric)
    )


def _blocks(where: ColumnElement[bool]) -> Select[Any]:
    block = t.sample_block.c
    statement = select(
        # Labelled: a device has a column of the same name.
        t.model.c.name.label("model_name"),
        t.series.c.variant,
        t.series.c.runtime,
        t.job.c.settings,
        t.job.c.series_id,
        t.trial.c.trial_index,
        block.attempt_id,
        block.metric,
        block.batch,
        block.codec,
        block.crc32,
        block.data,
        # Not `count`: a row has a method of that name.
        block["count"].label("number"),
        t.run_device.c.run_id,
        t.device.c.name.label("device_name"),
    ).join(t.sample_block, block.attempt_id == t.attempt.c.id)
    return (
        _with_coordinates(statement)
        .join(t.model, t.model.c.id == t.series.c.model_id)
        .where(where, t.attempt.c.counted, t.trial.c.kind == TrialKind.MEASURE.value)
        .order_by(t.device.c.name, t.trial.c.position, block.metric)
    )


def _with_coordinates(statement: Select[Any]) -> Select[Any]:
    """Return a query of attempts with trial, job, series, run and device."""
    return (
        statement.join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
        .join(t.job, t.job.c.id == t.trial.c.job_id)
        .join(t.series, t.series.c.id == t.job.c.series_id)
        .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
        .join(t.run, t.run.c.id == t.run_device.c.run_id)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
    )
