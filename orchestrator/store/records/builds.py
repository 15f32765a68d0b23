"""Read what runs measured on: environments of devices, and the bytes of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from orchestrator.domain.build import Environment, PlannedBuild
from orchestrator.store.records.environments import environments_of
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database


class BuildTable:
    """Play the role `BuildRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run_environments(self, run: str) -> Mapping[str, Sequence[Environment]]:
        """Return the environments of a run by device, each once, in the order of their dates."""
        with self._database.read() as connection:
            return dict(environments_of(connection, run))

    def planned_builds(self, run: str) -> Sequence[PlannedBuild]:
        """Return the bytes that each cell of a run was planned with, in the order of the plans."""
        statement = (
            select(
                t.device.c.name,
                # Labelled: a device has a column of the same name.
                t.model.c.name.label("model"),
                t.job.c.label,
                t.model_variant.c.sha256.label("artifact"),
                t.runtime.c.sha256.label("runtime"),
                t.run_device.c.worker_sha256,
            )
            .join(t.run_device, t.run_device.c.id == t.job.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .join(t.model_variant, t.model_variant.c.id == t.job.c.variant_id)
            .join(t.model, t.model.c.id == t.model_variant.c.model_id)
            .join(t.runtime, t.runtime.c.id == t.job.c.runtime_id)
            .where(t.run_device.c.run_id == run)
            .order_by(t.run_device.c.id, t.job.c.id)
        )
        with self._database.read() as connection:
            return [PlannedBuild(*row) for row in connection.execute(statement)]
