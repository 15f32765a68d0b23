"""A declared grid of measurements, as a sweep file says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.domain.runtime import RuntimeSpec

Setting = int | float | str | bool
"""One value of the matrix."""


@dataclass(frozen=True, slots=True)
class MeasurePolicy:
    """When a trial has warmed up and when it has measured enough."""

    warmup_runs_min: int = 5
    warmup_seconds_min: float = 0.3
    runs_min: int = 50
    seconds_min: float = 1.0
    seconds_max: float = 20.0
    runs_max: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Which data set of the model to judge outputs by, and how."""

    dataset: str
    metric: str = "top1"


@dataclass(frozen=True, slots=True)
class Order:
    """In which order trials run: interleaved spreads drift over all cells; the seed makes it repeatable."""

    interleave: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Retries:
    """How many more attempts a failed trial gets at once, and one that broke a condition gets at the end."""

    failed: int = 0
    invalid: int = 1


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep file: every combination of variant, runtime and matrix settings that no exclude rule matches."""

    name: str
    model: str
    variants: tuple[str, ...]
    runtimes: tuple[RuntimeSpec, ...]
    matrix: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)
    exclude: tuple[Mapping[str, Setting], ...] = ()
    measure: MeasurePolicy = MeasurePolicy()
    trials: int = 5
    accuracy: Accuracy | None = None
    order: Order = Order()
    retries: Retries = Retries()
    trial_timeout_s: float = 120.0
    source: str = ""
