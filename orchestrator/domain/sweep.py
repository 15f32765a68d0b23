"""Describe a sweep: a grid of measurements declared in a sweep file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from orchestrator.domain.runtime import RuntimeSpec

Setting = int | float | str | bool
"""One value of the matrix."""

NO_SETTING = "–"


def setting_text(value: Setting | None) -> str:
    """Return a setting in the form of a sweep file, and a dash for a job without the setting."""
    if value is None:
        return NO_SETTING
    return str(value).lower() if isinstance(value, bool) else str(value)


def stable_setting(value: Setting) -> Setting:
    """Return a setting in the form given back by every database. Some numbers of different texts become equal."""
    # PostgreSQL returns 1e23 as the whole number of these digits, and -0.0 as 0.0. Smaller numbers keep 1.0 from 1.
    if not isinstance(value, float):
        return value
    return int(Decimal(repr(value))) if abs(value) >= 1e16 else value + 0.0


def setting_texts(settings: Iterable[tuple[str, Setting]]) -> list[str]:
    """Return settings as `name=value`, in the given order."""
    return [f"{name}={setting_text(value)}" for name, value in settings]


@dataclass(frozen=True, slots=True)
class MeasurePolicy:
    """Decide when a trial has warmed up, and when a trial has measured enough.

    Warm-up ends after `warmup_runs_min` inferences and `warmup_seconds_min`. The measured part ends after `runs_min`
    inferences and `seconds_min`, and in any case after `seconds_max` or `runs_max` inferences.
    """

    warmup_runs_min: int = 5
    warmup_seconds_min: float = 0.3
    runs_min: int = 50
    seconds_min: float = 1.0
    seconds_max: float = 20.0
    runs_max: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Name the model's data set and the metric to judge outputs by."""

    dataset: str
    metric: str = "top1"


@dataclass(frozen=True, slots=True)
class Order:
    """Decide the order of trials. `interleave` spreads drift over all cells, and `seed` makes the order repeatable."""

    interleave: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Retries:
    """Grant further attempts: to a failed trial at once, and to an invalid trial at the end of the run."""

    failed: int = 0
    invalid: int = 1


@dataclass(frozen=True, slots=True)
class Sweep:
    """Hold a sweep file. The grid is every combination of variant, runtime and matrix settings not excluded by a rule.

    `source` is the path of the file. `allow_failures` are rules for cells whose failure leaves a run clean.
    With `only`, a cell fitting none of the rules is no part of the grid.
    `limits` are limits of conditions, and come before the devices' limits. None is no limit.
    `profile` is `operators` for a profile of each cell's operators, or None.
    """

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
    allow_failures: tuple[Mapping[str, Setting], ...] = ()
    only: tuple[Mapping[str, Setting], ...] = ()
    limits: Mapping[str, float | None] = field(default_factory=dict)
    profile: str | None = None
