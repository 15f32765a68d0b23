"""Hold what a person should know of a measured cell, and what is no failure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.measurement import CellResult, cell_label

IMPLAUSIBLE_FACTOR = 100
"""No known compression makes the same network so much faster on the same runtime."""


class RemarkKind(StrEnum):
    """Name the remarks on cells."""

    OUTPUTS_NOT_KEPT = "outputs-not-kept"
    IMPLAUSIBLY_FAST = "implausibly-fast"


@dataclass(frozen=True, slots=True)
class CellRemark:
    """Hold a remark on a cell. `label` is the cell in words."""

    device: str
    label: str
    kind: RemarkKind
    text: str


def implausibly_fast(
    results: Sequence[CellResult], parents: Mapping[tuple[str, str], str | None]
) -> Iterator[CellRemark]:
    """Yield a remark for each cell a hundred times faster than the cell of its parent. `results` are latencies.

    `parents` are by model and variant.
    """
    several = len({one.cell.model for one in results}) > 1
    by_place = {_place(one, one.cell.variant): one for one in results if one.trial_values}
    for one in by_place.values():
        parent = parents.get((one.cell.model, one.cell.variant))
        base = None if parent is None else by_place.get(_place(one, parent))
        if base is not None and (words := implausible(_median(one), _median(base), base.cell.variant)):
            yield CellRemark(one.cell.device, cell_label(one.cell, several), RemarkKind.IMPLAUSIBLY_FAST, words)


def implausible(value: float, base: float, name: str) -> str | None:
    """Return why a latency is implausible beside the latency of another variant, or None."""
    if not 0 < value * IMPLAUSIBLE_FACTOR <= base:
        return None
    return f"{base / value:.0f} times faster than {name}: do both take inputs of one shape, and compute the same?"


def _place(one: CellResult, variant: str) -> tuple[object, ...]:
    cell = one.cell
    settings = tuple(sorted((name, str(value)) for name, value in cell.settings.items()))
    return cell.device, cell.model, variant, cell.runtime, settings


def _median(one: CellResult) -> float:
    return statistics.median(one.trial_values)
