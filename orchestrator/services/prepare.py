"""Turn a sweep and one device's facts into a plan whose blobs are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.blobs.base import RuntimeResolver
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Model
from orchestrator.domain.plan import DevicePlan, PlanInputs
from orchestrator.domain.plan_device import plan_device
from orchestrator.domain.sweep import Sweep


class BlobKeeper(Protocol):
    """Takes files and bytes into the controller's content-addressed cache."""

    def add(self, content: Path | bytes, kind: BlobKind, name: str) -> Blob:
        """Keep this content; return what names it."""


@dataclass(frozen=True, slots=True)
class SweepPlanner:
    """Plans one sweep for any device; safe to call from several threads."""

    sweep: Sweep
    model: Model
    files: Mapping[str, Blob]
    resolver: RuntimeResolver
    keeper: BlobKeeper

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return the device's plan; resolves each runtime for the device's platform first."""
        platform = facts.platform
        offers = tuple(self.resolver.offer(runtime, platform) for runtime in self.sweep.runtimes)
        return plan_device(PlanInputs(self.sweep, self.model, device, facts, offers, self.files))

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""
        return self.keeper.add(document, BlobKind.PLAN, "plan.json")


def make_planner(sweep: Sweep, model: Model, resolver: RuntimeResolver, keeper: BlobKeeper) -> SweepPlanner:
    """Take every file that the sweep names into the cache, and return its planner."""
    return SweepPlanner(sweep, model, _keep_files(sweep, model, keeper), resolver, keeper)


def _keep_files(sweep: Sweep, model: Model, keeper: BlobKeeper) -> dict[str, Blob]:
    wanted = [(model.variants[name].path, BlobKind.MODEL) for name in sweep.variants]
    if sweep.accuracy is not None:
        wanted.append((model.datasets[sweep.accuracy.dataset].path, BlobKind.DATASET))
    programs = [runtime.program for runtime in sweep.runtimes if runtime.program is not None]
    wanted += [(path, BlobKind.FILE) for program in programs for _, path in program.files]
    return {path: keeper.add(Path(path), kind, Path(path).name) for path, kind in wanted}
