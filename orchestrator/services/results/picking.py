"""Keep of a comparison the cells that rules name. What was judged with all cells in view stays as it was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from orchestrator.domain.comparison import Comparison, ComparisonGroup, ComparisonRow
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import read_rule
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.sweep import setting_text
from orchestrator.services.results.gate import overall

_BETWEEN = " · "


def pick_cells(comparison: Comparison, texts: Sequence[str]) -> Comparison:
    """Return the rows whose cell a text names, each beside the row's base. No text names every cell.

    A text is a rule such as `variant=int8,threads=1`, with globs, or a cell in the words of a table. Raise ConfigError
    for a text that names no row.
    """
    if not texts:
        return comparison
    cells = [_coordinates(comparison, group, row) for group in comparison.groups for row in group.rows]
    for text in texts:
        if not any(_is_named(text, cell) for cell in cells):
            raise ConfigError(f"--cell {text!r} names no compared cell", _hint(text, cells))
    groups = (_picked(comparison, group, texts) for group in comparison.groups)
    kept = tuple(group for group in groups if group.rows)
    return replace(comparison, groups=kept, overall=overall(kept))


def _picked(comparison: Comparison, group: ComparisonGroup, texts: Sequence[str]) -> ComparisonGroup:
    rows = (row for row in group.rows if any(_is_named(text, _coordinates(comparison, group, row)) for text in texts))
    return replace(group, rows=tuple(rows))


def _coordinates(comparison: Comparison, group: ComparisonGroup, row: ComparisonRow) -> Mapping[str, str]:
    """Return what a rule can name of a row's cell. The name of a setting stands alone, as in a cell's words."""
    named = {name.removeprefix("settings."): setting_text(value) for name, value in group.fixed.items()}
    named |= {"model": group.model, comparison.by.removeprefix("settings."): setting_text(row.side.at)}
    return named if group.device is None else {**named, "device": group.device}


def _is_named(text: str, cell: Mapping[str, str]) -> bool:
    if _BETWEEN in text:
        words = {*cell.values(), *(f"{name}={value}" for name, value in cell.items())}
        # A run of several models has the model before the variant.
        words.add(f"{cell['model']}/{cell.get('variant')}")
        return words.issuperset(text.split(_BETWEEN))
    return all(name in cell and fnmatchcase(cell[name], wanted) for name, wanted in read_rule(text, "--cell").items())


def _hint(text: str, cells: Iterable[Mapping[str, str]]) -> str | None:
    """Return a hint for the first part of a rule that no cell has."""
    found = [*cells]
    if _BETWEEN in text:
        return "a rule such as 'device=pi-03,variant=int8' names cells too; globs work"
    for name, wanted in read_rule(text, "--cell").items():
        values = sorted({cell[name] for cell in found if name in cell})
        if not values:
            return did_you_mean(name, sorted({key for cell in found for key in cell}))
        if not any(fnmatchcase(value, wanted) for value in values):
            return did_you_mean(wanted, values)
    return "each part matches some cell, and no cell matches all; the base itself is no row"
