"""Read the findings of the conditions of a run's devices, and the missing readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from device_worker.protocol.vocabulary import Outcome
from orchestrator.domain.condition import ConditionUse, reading_of
from orchestrator.domain.plan.document import condition_limits
from orchestrator.domain.plan.values import TrialKind
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.engine import Database

_ALWAYS_JUDGED = "throttled"


class ConditionTable:
    """Play the role `ConditionAccounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def condition_uses(self, run: str) -> Sequence[ConditionUse]:
        """Return the findings of each device's conditions. Devices without any are left out."""
        measured = (
            select(t.run_device.c.id.label("run_device_id"), t.attempt.c.id, t.attempt.c.invalid)
            .join(t.trial, t.trial.c.id == t.attempt.c.trial_id)
            .join(t.run_device, t.run_device.c.id == t.trial.c.run_device_id)
            .where(t.run_device.c.run_id == run, t.trial.c.kind == TrialKind.MEASURE.value)
        )
        # An attempt that is ok and valid may still not count: an earlier one of the same trial does.
        invalid = measured.where(t.attempt.c.outcome == Outcome.OK, t.attempt.c.counted.is_(False))
        newest = (
            measured.where(t.attempt.c.outcome.is_not(None))
            .with_only_columns(func.max(t.attempt.c.id))
            .group_by(t.run_device.c.id)
        )
        devices = (
            select(t.run_device.c.id, t.device.c.name, t.run_device.c.plan_document, t.attempt.c.conditions_after)
            .join(t.device, t.device.c.id == t.run_device.c.device_id)
            .join(t.trial, t.trial.c.run_device_id == t.run_device.c.id)
            .join(t.attempt, t.attempt.c.trial_id == t.trial.c.id)
            .where(t.attempt.c.id.in_(newest))
            .order_by(t.run_device.c.id)
        )
        with self._database.read() as connection:
            words: dict[int, list[Sequence[str]]] = {}
            for row in connection.execute(invalid):
                words.setdefault(row.run_device_id, []).extend([row.invalid] if row.invalid else [])
            rows = connection.execute(devices).all()
        found = [
            ConditionUse(
                row.name,
                len(words.get(row.id, ())),
                dict(sorted(Counter(word for attempt in words.get(row.id, ()) for word in attempt).items())),
                _unjudged(row.conditions_after, row.plan_document),
            )
            for row in rows
        ]
        return [use for use in found if use.invalid or use.unjudged]


def _unjudged(conditions: Mapping[str, Any] | None, plan: bytes | None) -> Mapping[str, str]:
    unknown = (conditions or {}).get("unknown")
    if not isinstance(unknown, dict) or plan is None:
        return {}
    wanted = {reading_of(limit) for limit in condition_limits(plan)} | {_ALWAYS_JUDGED}
    return {str(reading): str(reason) for reading, reason in sorted(unknown.items()) if reading in wanted}
