"""Lines in a terminal: every value in its place, nothing beyond the width."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.reporting.tables.line_plot import HEIGHT, Dot, LinePlot, bounds, line_plot

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
LABELS = ("1 ms", "2 ms")


def dots(*values: float | None) -> list[Dot]:
    return [Dot(BEGAN + timedelta(days=day), value) for day, value in enumerate(values)]


def drawn_values(lines: list[str]) -> list[int]:
    """Return the row of each drawn value, column by column, the lowest row being 0."""
    width = max(map(len, lines))
    columns = zip(*(line.ljust(width) for line in lines[:HEIGHT]), strict=True)
    return [HEIGHT - 1 - row for column in columns for row, sign in enumerate(column) if sign == "●"]


def test_values_rise_from_the_lowest_line_to_the_highest() -> None:
    lines = line_plot(LinePlot(dots(1.0, 1.5, 2.0), None), LABELS, 60)
    assert drawn_values(lines) == [0, HEIGHT // 2, HEIGHT - 1]
    assert lines[0].startswith("2 ms ┤")
    assert lines[HEIGHT - 1].startswith("1 ms ┤")
    assert lines[-1].split() == ["2026-03-01", "2026-03-03"]


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("count", [1, 2, 365])
def test_no_line_is_wider_than_the_console(width: int, count: int) -> None:
    plot = LinePlot(dots(*(1 + day % 7 for day in range(count))), 3.0, {"^": [BEGAN]})
    assert max(map(len, line_plot(plot, LABELS, width))) <= width


def test_a_gap_draws_nothing_and_equal_values_are_a_line_in_the_middle() -> None:
    assert drawn_values(line_plot(LinePlot(dots(2.0, None, 2.0), None), LABELS, 60)) == [HEIGHT // 2] * 2
    assert line_plot(LinePlot(dots(None, None), None), LABELS, 60) == []


def test_a_wild_interval_does_not_flatten_the_rest() -> None:
    wild = [*dots(1.0, 2.0), Dot(BEGAN + timedelta(days=2), 1.5, 0.001, 900.0)]
    assert bounds(LinePlot(wild, None)) == (0.001, 2.0)
    assert bounds(LinePlot(wild[:2], 2.5)) == (1.0, 2.5)
    assert "│" in "".join(line_plot(LinePlot(wild, None), LABELS, 60))


def test_marks_stand_below_what_they_mark() -> None:
    lines = line_plot(LinePlot(dots(1.0, 1.0, 2.0), None, {"^": [BEGAN + timedelta(days=2)], "E": []}), LABELS, 60)
    (marks,) = (line for line in lines if "^" in line)
    assert marks.index("^") == lines[0].index("●")
    assert not [line for line in lines if "E" in line]
