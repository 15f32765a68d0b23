"""Leave out of plans what an earlier run has measured, and devices on which nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError, NothingToRun
from orchestrator.domain.expansion import counted_in
from orchestrator.domain.increment import Increment
from orchestrator.domain.moments import noted
from orchestrator.domain.plan.sameness import fingerprints
from orchestrator.services.runs.plan import plan_sweep

if TYPE_CHECKING:
    from orchestrator.domain.device import Device
    from orchestrator.domain.facts import Facts
    from orchestrator.domain.plan.values import DevicePlan
    from orchestrator.services.base import RunWiring
    from orchestrator.services.runs.prepare import Known, SweepPlanner
    from orchestrator.store.base import Roles


def read_increment(missing: bool, stale: str | None) -> Increment | None:
    """Return what `--missing` and `--stale AGE` ask for, None without either. Raise ConfigError for both."""
    from orchestrator.domain.duration import parse_duration_s

    if missing and stale is not None:
        raise ConfigError("--missing and --stale exclude each other", "--stale AGE runs missing cells too")
    if stale is not None:
        return Increment(parse_duration_s(stale, "--stale"))
    return Increment() if missing else None


def knowing(increment: Increment, store: Roles) -> Known:
    """Return the function that finds the jobs of a plan with a counted result."""

    def known(plan: DevicePlan, facts: Facts) -> Mapping[str, str]:
        return _measured(plan, facts, increment, store)

    return known


def _measured(plan: DevicePlan, facts: Facts, increment: Increment, store: Roles) -> Mapping[str, str]:
    """Return by key the reasons against the jobs of a plan that were measured with the very bytes, there."""
    since = None if increment.stale_s is None else datetime.now(UTC) - timedelta(seconds=increment.stale_s)
    own = fingerprints(plan.document)
    read: dict[str, Mapping[str, str]] = {}
    found: dict[str, str] = {}
    for one in store.counted.counted_jobs(plan.device, own, since):
        # Other hardware under the same name is another device.
        if one.key in found or one.identity_hash != facts.identity_hash:
            continue
        if one.plan_sha256 not in read:
            document = store.plans.plan_document(one.run, plan.device)
            # A run may be deleted meanwhile.
            read[one.plan_sha256] = {} if document is None else fingerprints(document)
        if read[one.plan_sha256].get(one.key) == own[one.key]:
            found[one.key] = counted_in(one.run, noted(one.started_at), one.trials)
    return found


@dataclass(frozen=True, slots=True)
class Left:
    """Hold the devices with cells left to run. `idle` has the number of measured cells of every other device."""

    devices: tuple[Device, ...]
    idle: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """Return in words what is left out."""
        cells = sum(self.idle.values())
        where = f"on {', '.join(self.idle)}" if len(self.idle) < 4 else f"on {len(self.idle)} devices"
        which = "the only cell has" if cells == 1 else f"all {cells} cells have"
        return f"nothing to run {where}: {which} a counted result"


def left_to_run(devices: Sequence[Device], planner: SweepPlanner, wiring: RunWiring) -> Left:
    """Return the devices on which cells are left to run, by the facts on record.

    A device that cannot be planned for stays: its run tells the reason. So does one whose cells are all excluded.
    Raise NothingToRun if no device stays.
    """
    planning = plan_sweep(devices, planner, wiring.store.devices, wiring.executor)
    idle = {plan.device: plan.counted for plan in planning.plans if not plan.trials and plan.counted}
    left = Left(tuple(one for one in devices if one.name not in idle), idle)
    if not left.devices:
        raise NothingToRun(left.sentence)
    return left
