"""Expand a sweep for one device, purely: same inputs and seed, same plan, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.blob import Blob
from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts
from orchestrator.domain.model import Model
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.sweep import Setting, Sweep


class TrialKind(StrEnum):
    """A preflight proves that a cell works; a measure trial times it."""

    PREFLIGHT = "preflight"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True)
class RuntimeOffer:
    """Whether a runtime can be had for a device: its bundle (None for system and exec), or why not."""

    runtime: RuntimeSpec
    bundle: Blob | None = None
    unavailable: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One cell: variant x runtime x settings on one device; `key` names it within a plan and is stable across plans."""

    key: str
    variant: str
    runtime: RuntimeSpec
    settings: Mapping[str, Setting]
    label: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One process launch of a job; index 0 is its preflight."""

    key: str
    job: str
    kind: TrialKind
    index: int


@dataclass(frozen=True, slots=True)
class Excluded:
    """A cell that will not run, and why."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """Everything one device will do, in order; `document` is what is shipped, as docs/worker-protocol.md describes it."""

    device: str
    jobs: tuple[Job, ...]
    trials: tuple[Trial, ...]
    excluded: tuple[Excluded, ...]
    blobs: tuple[Blob, ...]
    document: bytes
    sha256: str
    estimate_s: float


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that a device's plan depends on; `files` maps an absolute path that the sweep names to its blob."""

    sweep: Sweep
    model: Model
    device: Device
    facts: Facts
    offers: Sequence[RuntimeOffer]
    files: Mapping[str, Blob]
