"""Hold the numbers read from the database for a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from orchestrator.domain.build import Build, Environment
from orchestrator.domain.expansion import label_of
from orchestrator.domain.sweep import Setting

COORDINATES = ("device", "variant", "runtime")
RUN = "run"
"""What differs between two runs of the same cells."""


@dataclass(frozen=True)  # no slots: cached_property needs a dictionary
class Cell:
    """Name a job by the coordinates of comparisons."""

    run: str
    device: str
    model: str
    variant: str
    runtime: str
    settings: Mapping[str, Setting]

    # Kept, since a comparison asks each cell for its coordinates a dozen times.
    @cached_property
    def coordinates(self) -> Mapping[str, Setting]:
        """Return all coordinates but run and model, by the names to compare by."""
        named: dict[str, Setting] = {"device": self.device, "variant": self.variant, "runtime": self.runtime}
        for name, value in sorted(self.settings.items()):
            # A setting named like a coordinate is spelled out, such as settings.device.
            named[f"settings.{name}" if name in (*COORDINATES, RUN) else name] = value
        return named

    def at(self, by: str) -> Setting | None:
        """Return the value of the coordinate `by`, or the run's id for `run`. Return None without such a coordinate."""
        return self.run if by == RUN else self.coordinates.get(by)


def cell_label(cell: Cell, several: bool) -> str:
    """Return a cell in words, with the model where there are several."""
    return label_of(cell.variant, cell.runtime, dict(sorted(cell.settings.items())), cell.model if several else None)


@dataclass(frozen=True, slots=True)
class CellResult:
    """Hold a job's values of a metric: a value per counted trial, in the metric's unit. Iterations are never pooled.

    A sampled metric's value is the median of the samples. `invalid`, `failed` and `missing` count the trials without a
    usable value. `without_metric` counts good trials without a value of the metric. `shared` counts the values measured
    on a machine that others could use meanwhile (`exclusive: false`). `size_bytes` is the artifact's size.

    For a metric of power, `sources` are the power sources of the values, `unmeasured` the device's reasons for missing
    values, and `cautions` the device's doubts about the values. Each wording is listed once.

    `failures` are the failed trials' own words, each once. `accuracy_metric` names the metric of `accuracy`. `absent`
    says why a run lacks the cell, and is None for a planned cell. `series` is the database's id of the
    series, and None for a cell without a job.

    `builds` are the bytes behind the values, each once: several where trials of a run differ. `environments` are
    the device's environments during the run. `clipped_ratio` is the share of its numbers that a quantised input clips,
    the largest of all inputs, and None where none is quantised, or nobody has counted.
    """

    cell: Cell
    metric: str
    trial_values: tuple[float, ...]
    invalid: int
    failed: int
    missing: int
    size_bytes: int | None
    accuracy: float | None
    rejected: str | None
    without_metric: int = 0
    shared: int = 0
    sources: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    accuracy_metric: str | None = None
    absent: str | None = None
    failures: tuple[str, ...] = ()
    series: int | None = None
    builds: tuple[Build, ...] = ()
    environments: tuple[Environment, ...] = ()
    clipped_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class OutputPart:
    """Hold name and shape of an output. A runtime without names has None."""

    name: str | None
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CellOutputs:
    """Hold the outputs of a job's preflight for the first `count` inputs.

    `data` has `values_per_output` little-endian float32 values for each input. `inputs` is "dataset", or "random" for
    inputs drawn from the plan's seed. `reason` says why there are none. `layout` has name and shape of each output, in
    the order of the values, and is empty where a worker did not tell.
    """

    cell: Cell
    count: int
    values_per_output: int
    data: bytes
    inputs: str
    reason: str | None = None
    layout: tuple[OutputPart, ...] = ()
