"""Read the environments of devices during a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from orchestrator.domain.build import Environment
from orchestrator.store.schema import tables as t


def environments_of(connection: Connection, run: str) -> Mapping[str, tuple[Environment, ...]]:
    """Return the environments of a run by device, each once, in the order of dates.

    The environments are from the facts behind the plan, and from every snapshot until the run's end: a device resumed
    after an upgrade has two environments. A device without a plan has none.
    """
    first = {row.id: row.device for row in connection.execute(_FIRST_SNAPSHOTS, {"run": run})}
    snapshots = select(t.device_snapshot).where(t.device_snapshot.c.id.in_(first)).order_by(t.device_snapshot.c.id)
    found: dict[str, list[Environment]] = defaultdict(list)
    for row in connection.execute(snapshots):
        found[first[row.id]].append(Environment(row.identity_hash, row.environment_hash, row.facts))
    return defaultdict(tuple, {device: tuple(environments) for device, environments in found.items()})


# The first snapshot of each environment: facts are long, and a device is asked often.
_FIRST_SNAPSHOTS = (
    select(func.min(t.device_snapshot.c.id).label("id"), t.device.c.name.label("device"))
    .select_from(
        t.run_device.join(t.run, t.run.c.id == t.run_device.c.run_id)
        .join(t.device, t.device.c.id == t.run_device.c.device_id)
        .join(
            t.device_snapshot,
            and_(
                t.device_snapshot.c.device_id == t.run_device.c.device_id,
                or_(
                    t.device_snapshot.c.id == t.run_device.c.snapshot_id,
                    and_(
                        t.device_snapshot.c.id > t.run_device.c.snapshot_id,
                        or_(t.run.c.finished_at.is_(None), t.device_snapshot.c.taken_at <= t.run.c.finished_at),
                    ),
                ),
            ),
        )
    )
    .where(t.run_device.c.run_id == bindparam("run"))
    .group_by(t.device.c.name, t.device_snapshot.c.identity_hash, t.device_snapshot.c.environment_hash)
)
