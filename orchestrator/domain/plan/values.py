"""Define the parts of a device's plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain.blob import Blob
from orchestrator.domain.device import Device
from orchestrator.domain.expansion import is_counted
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Artifact, Model
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Setting, Sweep


class TrialKind(StrEnum):
    """Tell the kinds of trial apart. A preflight proves a cell. A measure trial times the cell.

    A profile trial tells the operators of the cell apart, is never timed, and counts for nothing else.
    """

    PREFLIGHT = "preflight"
    MEASURE = "measure"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True)
class RuntimeOffer:
    """Offer a runtime to a device: the bundle (None for system and exec), or the reason against."""

    runtime: RuntimeSpec
    bundle: Blob | None = None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Hold a cell (variant x runtime x settings on a device) with the artifact for the runtime.

    `key` names the job within a plan and is stable across plans. The artifact is no part of the key: a variant keeps
    its history when rebuilt, or when an artifact in another format is added. `model` is the model's name.
    """

    key: str
    variant: str
    runtime: RuntimeSpec
    settings: Mapping[str, Setting]
    label: str
    artifact: Artifact
    model: str


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold a process launch of a job. Measure trials count from 1, and all others have index 0."""

    key: str
    job: str
    kind: TrialKind
    index: int


@dataclass(frozen=True, slots=True)
class Excluded:
    """Hold a cell left out of a plan, with the reason."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Untold:
    """Hold a demanded condition, by its limit, that a device cannot tell, with the reason."""

    limit: str
    reason: str


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """Hold the jobs and trials of a device, in order. `document` has the shipped bytes (docs/worker-protocol.md).

    `untold` are the demanded conditions that the device cannot tell: no trial is judged by them. `mixed` says which
    cells may run on processors of several kinds.
    """

    device: str
    jobs: tuple[Job, ...]
    trials: tuple[Trial, ...]
    excluded: tuple[Excluded, ...]
    blobs: tuple[Blob, ...]
    document: bytes
    sha256: str
    estimate_s: float
    untold: tuple[Untold, ...] = ()
    mixed: tuple[str, ...] = ()

    @property
    def counted(self) -> int:
        """Return the number of cells left out because an earlier run has measured them."""
        return sum(is_counted(one.reason) for one in self.excluded)


@dataclass(frozen=True, slots=True)
class PreparedPlan:
    """Hold a device's plan, the snapshot of facts behind the plan, and the hash of the executing worker."""

    plan: DevicePlan
    snapshot: int
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Hold the inputs of a device's plan. `files` maps each path of `files_needed` to a blob.

    `further` are the models of a sweep of several behind the first.
    `contradictions` says of the paths of artifacts what model.yaml declares otherwise. A program gets none of these.
    `for_edgetpu` are the paths of artifacts that were compiled for the EdgeTPU.
    `left_out` has the reasons against jobs that could run, by key.
    """

    sweep: Sweep
    model: Model
    device: Device
    facts: Facts
    offers: Sequence[RuntimeOffer]
    files: Mapping[str, Blob]
    contradictions: Mapping[str, str] = field(default_factory=dict)
    further: Sequence[Model] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    for_edgetpu: frozenset[str] = frozenset()

    def model_of(self, name: str | None) -> Model:
        """Return a model of the sweep by its name, None for the only one."""
        return self.model if name is None else next(one for one in (self.model, *self.further) if one.name == name)
