"""Turn a comparison into a matrix: a line for each group, a column for each value of the compared coordinate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.comparison import Comparison, ComparisonGroup, ComparisonRow
from orchestrator.domain.sweep import Setting, setting_text, setting_texts
from orchestrator.web.drawing import RatioScale, Whisker


@dataclass(frozen=True, slots=True)
class MatrixLine:
    """Hold a group by the names of its columns. `base` is the column of the base, None for a group without one."""

    group: ComparisonGroup
    label: str
    base: str | None
    cells: Mapping[str, ComparisonRow]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Hold the lines with the columns in the comparison's order. `whiskers` are by line and column."""

    columns: Sequence[str]
    lines: Sequence[MatrixLine]
    whiskers: Mapping[tuple[int, str], Whisker | None]


def matrix(comparison: Comparison) -> Matrix:
    """Return the matrix of a comparison in its first metric."""
    lines = [_line(group) for group in comparison.groups]
    # Bases first: every reader looks for the reference on the left.
    columns = dict.fromkeys(name for line in lines for name in ([line.base] if line.base else []))
    columns |= dict.fromkeys(name for line in lines for name in line.cells)
    ratios = [row.ratio for row in comparison.rows if row.ratio is not None]
    # One scale for all lines, so that the eye can compare two of them.
    scale = RatioScale([end for ratio in ratios for end in (ratio.value, ratio.low, ratio.high)])
    whiskers = {
        (place, name): scale.whisker(row.ratio.value, row.ratio.low, row.ratio.high)
        for place, line in enumerate(lines)
        for name, row in line.cells.items()
        if row.ratio is not None
    }
    return Matrix(list(columns), lines, whiskers)


def _line(group: ComparisonGroup) -> MatrixLine:
    rest = [text for text in setting_texts(sorted(group.fixed.items())) if not text.startswith("device=")]
    # A variant or a runtime speaks for itself, a setting needs its name.
    plain = [text.partition("=")[2] if text.startswith(("variant=", "runtime=")) else text for text in rest]
    label = " · ".join([*filter(None, (group.named_model, group.device)), *plain])
    return MatrixLine(
        group,
        label or group.model,
        None if group.base is None else _name(group.base.at),
        {_name(row.side.at): row for row in group.rows},
    )


def _name(at: Setting | None) -> str:
    return "–" if at is None else setting_text(at)
