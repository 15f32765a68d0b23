"""Turn a sweep and one device's facts into a plan, with every blob of the plan at hand."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from orchestrator.blobs.base import RuntimeResolver
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, NoSuchRelease
from orchestrator.domain.facts import Facts, Platform
from orchestrator.domain.model import Model
from orchestrator.domain.plan.admit import files_needed, measured_variants, needed_runtimes
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.values import DevicePlan, PlanInputs, RuntimeOffer
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import artifact_for
from orchestrator.domain.sweep import Sweep
from orchestrator.models.contradictions import contradiction, is_for_edgetpu
from orchestrator.specs.paths import open_below, open_regular, reading_remedy

PLAN_NAME = "plan.json"
Known = Callable[[DevicePlan, Facts], Mapping[str, str]]


class BlobKeeper(Protocol):
    """Take files and bytes into the controller's content-addressed cache."""

    def add(self, source: Path | bytes | BufferedReader, kind: BlobKind, name: str | None = None) -> Blob:
        """Keep a content, and return the blob. Raise BlobError for an unstorable content."""


@dataclass(frozen=True, slots=True)
class SweepPlanner:
    """Plan a sweep for any device. Safe to call from several threads.

    `known` says which jobs of a plan need no measurement, by key with the reason. Without it, all need one.
    """

    sweep: Sweep
    model: Model
    files: Mapping[str, Blob]
    resolver: RuntimeResolver
    keeper: BlobKeeper
    contradictions: Mapping[str, str] = field(default_factory=dict)
    further: Sequence[Model] = ()
    known: Known | None = None
    for_edgetpu: frozenset[str] = frozenset()

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return the device's plan, with each runtime resolved for the device's platform. May take minutes.

        Raise NoSuchRelease, with the line of the sweep, for an unknown release.
        """
        platform = facts.platform
        about = (self.files, self.contradictions, self.further)
        inputs = PlanInputs(self.sweep, self.model, device, facts, (), *about, for_edgetpu=self.for_edgetpu)
        needed = needed_runtimes(inputs)
        offers = tuple(
            self._offer(runtime, platform) if runtime.label in needed else RuntimeOffer(runtime)
            for runtime in self.sweep.runtimes
        )
        inputs = replace(inputs, offers=offers)
        plan = plan_device(inputs)
        known = self.known(plan, facts) if self.known else {}
        return plan_device(replace(inputs, left_out=known)) if known else plan

    def _offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        try:
            return self.resolver.offer(runtime, platform)
        except NoSuchRelease as error:
            # The resolver knows packages, not sweeps: only here is the line known.
            raise error.at(runtime.declared_at) from None

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""
        return self.keeper.add(document, BlobKind.PLAN, PLAN_NAME)


def make_planner(
    sweep: Sweep, model: Model, resolver: RuntimeResolver, keeper: BlobKeeper, further: Sequence[Model] = ()
) -> SweepPlanner:
    """Take every file of the sweep into the cache, and return the sweep's planner.

    `further` are the models of a sweep of several behind the first.
    Raise ConfigError for a missing file, or for a link made after the sweep was checked.
    """
    models = (model, *further)
    homes = {path: Path(home.directory) for home, path in _files_of(sweep, models)}
    files = {
        path: _take(keeper, Path(path), kind, homes.get(path)) for path, kind in files_needed(sweep, *models).items()
    }
    wrong, compiled = _contradictions(sweep, models), _for_edgetpu(sweep, models)
    return SweepPlanner(sweep, model, files, resolver, keeper, wrong, further, for_edgetpu=compiled)


def _files_of(sweep: Sweep, models: Sequence[Model]) -> Iterator[tuple[Model, str]]:
    """Yield the files of models that a sweep may need, each with its model."""
    for model, variant in measured_variants(sweep, models):
        yield from ((model, artifact.path) for artifact in variant.artifacts)
    yield from ((model, dataset.path) for model in models for dataset in model.datasets.values())
    yield from ((model, one.file) for model in models for one in model.all_inputs if one.file is not None)


def _for_edgetpu(sweep: Sweep, models: Sequence[Model]) -> frozenset[str]:
    """Return the paths of artifacts that were compiled for the EdgeTPU."""
    measured = ((model, one) for model, variant in measured_variants(sweep, models) for one in variant.artifacts)
    return frozenset(one.path for model, one in measured if is_for_edgetpu(model, one))


def _contradictions(sweep: Sweep, models: Sequence[Model]) -> Mapping[str, str]:
    """Return what model.yaml declares otherwise than the artifacts, by path.

    Those that programs get are looked at, and all of a model that takes inputs from files.
    """
    chosen = (
        (model, artifact_for(variant, runtime))
        for model, variant in measured_variants(sweep, models)
        for runtime in sweep.runtimes
        if runtime.source is RuntimeSource.EXEC or model.takes_files
    )
    artifacts = {one.path: (model, one) for model, one in chosen if one is not None}
    found = {path: contradiction(*pair) for path, pair in artifacts.items()}
    return {path: words for path, words in found.items() if words is not None}


def _take(keeper: BlobKeeper, path: Path, kind: BlobKind, home: Path | None) -> Blob:
    """Take a file of the model in `home`, or a program's file by the checked path without links. Raise ConfigError."""
    try:
        file = open_regular(path) if kind is BlobKind.FILE or home is None else open_below(home, path)
    except OSError as error:
        hint = reading_remedy(error, path, "was it moved just now?")
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=hint) from None
    with file:
        return keeper.add(file, kind, path.name)


class RecordedPlanner:
    """Plan for a run of an earlier command. `load` reads the run's sweep, and is called at the first plan."""

    def __init__(self, keeper: BlobKeeper, load: Callable[[], SweepPlanner]) -> None:
        self._keeper = keeper
        # Late, since most resumes need no new plan, and making one hashes every file of the sweep.
        self._load = functools.cache(load)
        self._lock = threading.Lock()

    def plan(self, device: Device, facts: Facts) -> DevicePlan:
        """Return the device's plan."""
        # `functools.cache` alone would let two plans, made side by side, both read the sweep with all its files.
        with self._lock:
            planner = self._load()
        return planner.plan(device, facts)

    def keep(self, document: bytes) -> Blob:
        """Store a plan's bytes as a blob."""
        return self._keeper.add(document, BlobKind.PLAN, PLAN_NAME)
