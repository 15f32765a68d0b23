"""Pair cells with the base of a group, and estimate each pair. Cells of a group differ in a single coordinate.

The cells may come from any selection: pairing knows neither runs nor the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.analysis.ratio import RatioEstimate, Spread, measured, ratios, spreads, usable
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.sweep import setting_text


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold a cell and its base."""

    other: CellResult
    base: CellResult | None

    @property
    def comparable(self) -> bool:
        """Return True if both cells have usable values, of the same thing."""
        if self.base is None or not (is_usable(self.base) and is_usable(self.other)):
            return False
        # Power from two sources (a whole package, one rail) differs for reasons that have nothing to do with the cells.
        return self.base.sources == self.other.sources


@dataclass(frozen=True, slots=True)
class Estimates:
    """Hold the estimates of each cell, and of each comparable pair, by the identity of the objects."""

    spreads: Mapping[int, Spread]
    ratios: Mapping[int, RatioEstimate]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Hold a group's base, and the pairs of the base with each other cell of the group."""

    base: CellResult | None
    pairs: tuple[Pair, ...]


def groups(cells: Iterable[CellResult], by: str) -> list[list[CellResult]]:
    """Group the cells that differ in `by` alone. Groups come in the order of their first cells."""
    groups: dict[object, list[CellResult]] = {}
    for cell in cells:
        groups.setdefault((cell.cell.model, _texts(cell.cell, without=by)), []).append(cell)
    return list(groups.values())


def pair_group(group: Sequence[CellResult], by: str, bases: frozenset[str]) -> Pairing:
    """Pair a group of cells with the group's base. Raise ConfigError if `bases` matches several of the cells."""
    matching = [cell for cell in group if setting_text(cell.cell.at(by)) in bases]
    if len(matching) > 1:
        names = [setting_text(cell.cell.at(by)) for cell in matching]
        raise ConfigError(
            f"the base is ambiguous: {' and '.join(names)} on {matching[0].cell.device}", hint="name one of them"
        )
    base = matching[0] if matching else None
    return Pairing(base, tuple(Pair(cell, base) for cell in group if cell is not base))


def estimates_of(cells: Iterable[CellResult], pairs: Sequence[Pair]) -> Estimates:
    """Estimate all cells and pairs of a comparison together.

    The cells of one device say how noisy a cell of the device is, so each cell is estimated with all others.
    """
    used = [cell for cell in cells if is_usable(cell)]
    places = {id(cell): place for place, cell in enumerate(used)}
    located = measured([cell.trial_values for cell in used], [cell.cell.device for cell in used])
    comparable = [pair for pair in pairs if pair.comparable]
    found = ratios(located, [(places[id(pair.base)], places[id(pair.other)]) for pair in comparable])
    return Estimates(
        {id(cell): spread for cell, spread in zip(used, spreads(located), strict=True)},
        {id(pair): ratio for pair, ratio in zip(comparable, found, strict=True)},
    )


def is_usable(result: CellResult) -> bool:
    """Say whether a cell's values make a single value. Figures of several power sources do not."""
    return usable(result.trial_values) and len(result.sources) <= 1


def identity(cell: Cell) -> object:
    """Return a key of the run, the model and every coordinate, equal for equal cells."""
    return cell.run, cell.model, _texts(cell)


def _texts(cell: Cell, without: str = "") -> tuple[tuple[str, str], ...]:
    """Return a cell's coordinates as text."""
    # As text, since True and 1 are different settings, and equal in Python.
    return tuple((name, setting_text(value)) for name, value in cell.coordinates.items() if name != without)
