"""Describe a sweep: a grid of measurements declared in a sweep file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase

from orchestrator.domain.need import Need
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.tolerance import Tolerance

Setting = int | float | str | bool
"""One value of the matrix."""

NO_SETTING = "–"
MODEL = "model"
"""The key of rules for the model, in sweeps of several models."""


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

    With a `scenario` of MLPerf runs are queries: of `streams` inferences (multi-stream), or at `rate_per_s` (server).
    With `p99_ms_max` the rate of a server is searched: the highest one whose 99th percentile stays under that.
    """

    warmup_runs_min: int = 5
    warmup_seconds_min: float = 0.3
    runs_min: int = 50
    seconds_min: float = 1.0
    seconds_max: float = 20.0
    runs_max: int = 1_000_000
    scenario: str | None = None
    streams: int | None = None
    rate_per_s: float | None = None
    p99_ms_max: float | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Name the model's data set and the metric to judge outputs by.

    A mapping names the data set of each model. A model that is not named there is not judged.
    """

    dataset: str | Mapping[str, str]
    metric: str = "top1"

    def dataset_of(self, model: str) -> str | None:
        """Return the name of a model's data set, or None for a model that is not judged."""
        return self.dataset if isinstance(self.dataset, str) else self.dataset.get(model)


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
class SweptModel:
    """Name a model of a sweep of several, with the variants to measure. `directory` is absolute."""

    name: str
    directory: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delegation:
    """Say what a delegate or provider must run: `nodes_min` is a share of the model's nodes, by default all.

    A cell with fewer nodes there, or with an unknown number, fails, unless `allow_fallback`.
    """

    nodes_min: float = 1.0
    allow_fallback: bool = False


ALL_NODES = Delegation()
"""What a sweep asks of a delegate unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Cooling:
    """Say how cool a device is before a trial begins, and for how long to wait for that. None: as the device says."""

    to_c: float | None = None
    s_max: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End a cell once the interval over its trials is narrow enough, or once the cell has taken enough device time.

    `ci_halfwidth` is relative: 0.01 is plus or minus 1 %. `trials_max` is the number of trials of other cells.
    """

    ci_halfwidth: float
    trials_max: int = 20
    device_s_max: float | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Hold a sweep file. The grid is every combination of variant, runtime and matrix settings not excluded by a rule.

    A value None of `matrix` is for cells without that setting.
    `models` are the models of a sweep of several, each with its own variants, and empty for a sweep of one. `model` and
    `variants` are then the folder of the first, and the names of all variants.
    `source` is the path of the file. `allow_failures` are rules for cells whose failure leaves a run clean.
    With `only`, a cell fitting none of the rules is no part of the grid.
    `limits` are limits of conditions, and come before the devices' limits. None is no limit.
    `profile` is `operators` for a profile of each cell's operators, or None. With `stop`, `trials` is a largest number.
    `agreement` is the tolerance of outputs beside the parent's, or None for the usual one.
    `environment` has variables for the trials. None is the value of the device's login.
    `unthrottled`: the sweep says that throttled trials do not count, and not only the worker's own rule.
    `need` asks for devices where nobody names some, None for all devices.
    `preemptible`: a submitted run gives its devices to more urgent ones between two trials, and goes on later.
    """

    name: str
    model: str
    variants: tuple[str, ...]
    runtimes: tuple[RuntimeSpec, ...]
    matrix: Mapping[str, tuple[Setting | None, ...]] = field(default_factory=dict)
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
    limits: Mapping[str, float | str | None] = field(default_factory=dict)
    profile: str | None = None
    models: tuple[SweptModel, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    delegation: Delegation = ALL_NODES
    stop: Stop | None = None
    agreement: Tolerance | None = None
    cooling: Cooling = Cooling()
    unthrottled: bool = False
    preemptible: bool = False
    need: Need | None = None

    def of_model(self, name: str) -> Sweep | None:
        """Return the part of a sweep of several models that measures one model, or None without a cell of that."""
        swept = next(one for one in self.models if one.name == name)
        only = tuple(_of_model(self.only, name))
        # A rule that names nothing but the model is about every cell of the model.
        if (self.only and not only) or {} in (exclude := tuple(_of_model(self.exclude, name))):
            return None
        judged = self.accuracy and self.accuracy.dataset_of(name)
        return replace(
            self,
            model=swept.directory,
            variants=swept.variants,
            models=(),
            only=() if {} in only else only,
            exclude=exclude,
            allow_failures=tuple(rule or {"variant": "*"} for rule in _of_model(self.allow_failures, name)),
            accuracy=replace(self.accuracy, dataset=judged) if self.accuracy and judged else None,
        )


def _of_model(rules: Iterable[Mapping[str, Setting]], name: str) -> Iterator[Mapping[str, Setting]]:
    """Yield the rules about a model's cells, without the model."""
    for rule in rules:
        if fnmatchcase(name, setting_text(rule.get(MODEL, "*"))):
            yield {key: value for key, value in rule.items() if key != MODEL}
