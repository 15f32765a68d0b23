"""Read models with their variants, artifacts and accuracies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, func, select

from orchestrator.domain.lineage import ArtifactRecord, ModelRecord
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database

_ACCURACY = "accuracy_"


class LineageTable:
    """Play the role `Lineages`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def models(self) -> Sequence[ModelRecord]:
        """Return every model with all artifacts, in the order of names."""
        with self._database.read() as connection:
            models = connection.execute(select(t.model).order_by(t.model.c.name)).all()
            variants = connection.execute(select(t.model_variant).order_by(t.model_variant.c.id)).all()
            newest = {row.variant_id: row.job for row in connection.execute(_NEWEST_JOBS)}
            runs = {
                row.id: row
                for row in connection.execute(_RUNS.where(t.job.c.id.in_(select(_NEWEST_JOBS.subquery().c.job))))
            }
            measured: dict[int, dict[str, float]] = {}
            for row in connection.execute(_ACCURACIES):
                measured.setdefault(row.variant_id, {})[row.metric] = row.value
        by_model: dict[int, list[ArtifactRecord]] = {}
        for row in variants:
            run = runs.get(newest.get(row.id, 0))
            by_model.setdefault(row.model_id, []).append(
                ArtifactRecord(
                    variant=row.name,
                    format=row.format,
                    sha256=row.sha256,
                    size_bytes=row.size_bytes,
                    precision=row.precision,
                    made=row.made,
                    parent=row.parent,
                    declared=dict(row.declared_accuracy),
                    measured=measured.get(row.id, {}),
                    last_run=run.run_id if run else None,
                    last_run_at=run.started_at if run else None,
                )
            )
        return [_model(row, by_model.get(row.id, [])) for row in models]


def _model(row: Row[Any], artifacts: list[ArtifactRecord]) -> ModelRecord:
    return ModelRecord(row.name, row.task, row.description, row.license, tuple(_by_ancestry(artifacts)))


def _by_ancestry(artifacts: Sequence[ArtifactRecord]) -> Iterator[ArtifactRecord]:
    """Yield each artifact once, children behind their parents. A circle of parents comes last, as recorded."""
    # A parent that was never recorded must not hide its children.
    names = {one.variant for one in artifacts}
    left = list(artifacts)

    def family(parent: str | None) -> Iterator[ArtifactRecord]:
        own = [one for one in left if (one.parent if one.parent in names else None) == parent]
        for name in dict.fromkeys(one.variant for one in own):
            members = [one for one in own if one.variant == name]
            for one in members:
                left.remove(one)
            yield from members
            yield from family(name)

    yield from family(None)
    yield from left


# A search in the index for each variant: grouping all jobs ever would read the whole index.
_NEWEST_JOBS = select(
    t.model_variant.c.id.label("variant_id"),
    select(func.max(t.job.c.id)).where(t.job.c.variant_id == t.model_variant.c.id).scalar_subquery().label("job"),
)
_RUNS = (
    select(t.job.c.id, t.run_device.c.run_id, t.run.c.started_at)
    .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
    .join(t.run, t.run.c.id == t.run_device.c.run_id)
)
# The newest value of each series is where latest_value says: the artifact of that job is what has the accuracy. Of
# several devices the greatest job decides, since accuracies of the same bytes hardly differ.
_NEWEST_ACCURACIES = (
    select(t.job.c.variant_id, t.latest_value.c.metric, func.max(t.latest_value.c.job_id).label("job_id"))
    .join(t.job, t.job.c.id == t.latest_value.c.job_id)
    .where(func.substr(t.latest_value.c.metric, 1, len(_ACCURACY)) == _ACCURACY)
    .group_by(t.job.c.variant_id, t.latest_value.c.metric)
    .subquery()
)
_ACCURACIES = (
    select(_NEWEST_ACCURACIES.c.variant_id, _NEWEST_ACCURACIES.c.metric, func.max(t.cell_value.c.value).label("value"))
    .join(
        t.cell_value,
        (t.cell_value.c.job_id == _NEWEST_ACCURACIES.c.job_id)
        & (t.cell_value.c.metric == _NEWEST_ACCURACIES.c.metric)
        & t.cell_value.c.value.is_not(None),
    )
    .group_by(_NEWEST_ACCURACIES.c.variant_id, _NEWEST_ACCURACIES.c.metric)
)
