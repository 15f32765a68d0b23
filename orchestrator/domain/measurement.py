"""Numbers as the database hands them to a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.sweep import Setting

COORDINATES = ("device", "variant", "runtime")


def setting_text(value: Setting | None) -> str:
    """Return a setting as a sweep file writes it."""
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a job is, wherever it ran: the coordinates that comparisons group by."""

    run: str
    device: str
    model: str
    variant: str
    runtime: str
    settings: Mapping[str, Setting]

    @property
    def coordinates(self) -> Mapping[str, Setting]:
        """Return everything but run and model, by the names that people compare by."""
        named: dict[str, Setting] = {"device": self.device, "variant": self.variant, "runtime": self.runtime}
        for name, value in sorted(self.settings.items()):
            named[f"settings.{name}" if name in COORDINATES else name] = value
        return named


@dataclass(frozen=True, slots=True)
class CellResult:
    """One metric of one job: one value per counted trial (p50 of sampled metrics), never pooled iterations.

    `invalid`, `failed` and `missing` count the trials that have no usable value, `without_metric` those that went well
    but did not measure this metric. `size_bytes` is the artifact's.
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


@dataclass(frozen=True, slots=True)
class CellOutputs:
    """What a job's preflight computed for the first `count` inputs: `values_per_output` little-endian float32 for each.

    `inputs` says what they were: the data set, or random ones drawn from the plan's seed.
    """

    cell: Cell
    count: int
    values_per_output: int
    data: bytes
    inputs: str
