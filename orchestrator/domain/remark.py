"""Hold what a person should know of a measured cell, and what is no failure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.domain.measurement import CellResult, cell_label
from orchestrator.domain.quoting import quoted

IMPLAUSIBLE_FACTOR = 100
"""No known compression makes the same network so much faster on the same runtime."""


SATURATED_RATIO_MIN = 0.01
"""A calibration leaves out a few outliers on purpose."""


class RemarkKind(StrEnum):
    """Name the remarks on cells."""

    OUTPUTS_NOT_KEPT = "outputs-not-kept"
    IMPLAUSIBLY_FAST = "implausibly-fast"
    INPUTS_SATURATED = "inputs-saturated"


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


def saturated(ranges: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the words for quantised inputs that clip a noticeable share of their numbers, or None."""
    words = [_saturated_words(one) for one in ranges if one["saturated_ratio"] >= SATURATED_RATIO_MIN]
    return f"{'; '.join(words)}: accuracy and outputs are those of clipped inputs" if words else None


def clipped_words(side: float | None, base: float | None) -> str | None:
    """Return the words for two sides of which one clips a noticeable share of its inputs' numbers, or None."""
    if max(side or 0.0, base or 0.0) < SATURATED_RATIO_MIN:
        return None
    here, there = (_clipped_share(share) for share in (side, base))
    return f"inputs clipped: {here} here, {there} at the base; accuracy and outputs are of those"


def _clipped_share(share: float | None) -> str:
    """Return the words for a share. None is an input that is not quantised, or that an older worker did not count."""
    return "none counted" if share is None else f"{100 * share:.3g} % of their numbers"


def _saturated_words(one: Mapping[str, Any]) -> str:
    given = "" if one["data_low"] is None else f", which reach from {one['data_low']:g} to {one['data_high']:g}"
    held = f"input {quoted(one['name'])} ({one['dtype']}) holds {one['low']:g} to {one['high']:g}"
    return f"{held}, and clips {100 * one['saturated_ratio']:.3g} % of its numbers{given}"


def _place(one: CellResult, variant: str) -> tuple[object, ...]:
    cell = one.cell
    settings = tuple(sorted((name, str(value)) for name, value in cell.settings.items()))
    return cell.device, cell.model, variant, cell.runtime, settings


def _median(one: CellResult) -> float:
    return statistics.median(one.trial_values)
