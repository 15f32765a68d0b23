"""Read how devices measured the power of trials, and the reasons for missing figures."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Double, cast, func, select

from orchestrator.domain.power import PowerUse
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database


class PowerTable:
    """Play the role `PowerAccounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def power_uses(self, run: str) -> Sequence[PowerUse]:
        """Return the common ways of measuring power, with the number of counted trials of each, device by device."""
        account = t.power_account.c
        common = (account.source, account.kind, account.reason, account.energy_reason, account.caution)
        overhead_ratio = cast(account.overhead_cpu_ns, Double) / func.nullif(t.attempt.c.duration_ns, 0)
        statement = (
            select(
                t.device.c.name.label("device"),
                func.count().label("trials"),
                func.avg(account.rate_hz).label("rate_hz"),
                func.avg(account.idle_w).label("idle_w"),
                func.avg(overhead_ratio).label("overhead_ratio"),
                *common,
            )
            .join(t.attempt, t.attempt.c.id == account.attempt_id)
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .where(t.run_device.c.run_id == run, t.attempt.c.counted)
            .group_by(t.run_device.c.id, t.device.c.name, *common)
            .order_by(t.run_device.c.id, func.count().desc(), func.min(account.attempt_id))
        )
        with self._database.read() as connection:
            return [PowerUse(**row._mapping) for row in connection.execute(statement)]
