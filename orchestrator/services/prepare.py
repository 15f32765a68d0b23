"""Turn a sweep and one device's facts into a plan whose blobs are at hand."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.blobs.base import RuntimeResolver
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import Device
from orchestrator.domain.errors import NoSuchRelease
from orchestrator.domain.facts import Facts, Platform
from orchestrator.domain.model import Model
from orchestrator.domain.plan import DevicePlan, PlanInputs, RuntimeOffer, files_needed, plan_device
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Sweep

PLAN_NAME = "plan.json"


class BlobKeeper(Protocol):
    """Takes files and bytes into the controller's content-addressed cache."""

    def add(self, source: Path | bytes, kind: BlobKind, name: str | None = None) -> Blob:
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
        offers = tuple(self._offer(runtime, platform) for runtime in self.sweep.runtimes)
        return plan_device(PlanInputs(self.sweep, self.model, device, facts, offers, self.files))

    def _offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        try:
            return self.resolver.offer(runtime, platform)
        except NoSuchRelease as error:
            raise error.at(runtime.declared_at) from None

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""
        return self.keeper.add(document, BlobKind.PLAN, PLAN_NAME)


def make_planner(sweep: Sweep, model: Model, resolver: RuntimeResolver, keeper: BlobKeeper) -> SweepPlanner:
    """Take every file that the sweep names into the cache, and return its planner."""
    files = {path: keeper.add(Path(path), kind) for path, kind in files_needed(sweep, model).items()}
    return SweepPlanner(sweep, model, files, resolver, keeper)


class RecordedPlanner:
    """Plans for a run that began earlier; most resumes need no plan but the recorded one, so its sweep is read late."""

    def __init__(self, keeper: BlobKeeper, load: Callable[[], SweepPlanner]) -> None:
        self._keeper = keeper
        self._load = functools.cache(load)
        self._lock = threading.Lock()

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return the device's plan."""
        with self._lock:  # plans are made side by side, and the sweep with all its files is read once
            planner = self._load()
        return planner.plan(device, facts)

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""
        return self._keeper.add(document, BlobKind.PLAN, PLAN_NAME)
