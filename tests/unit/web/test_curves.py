"""Lines over time: many readings become few places, and no line leaves the drawing."""

from __future__ import annotations

from orchestrator.web.drawing import CURVE_HEIGHT, CURVE_WIDTH, curves


def places(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (point.split(",") for point in line.split())]


def test_two_lines_share_a_scale_from_zero() -> None:
    drawn = curves([([0.0, 1.0], [2.0, 4.0]), ([0.0, 2.0], [1.0, 1.0])])
    assert drawn is not None
    assert drawn.seconds == 2.0
    assert drawn.ticks[0].value == 0.0
    (_, high), (half, low) = places(drawn.lines[0])[1], places(drawn.lines[1])[1]
    assert high < low
    assert half > places(drawn.lines[0])[1][0]


def test_a_long_line_is_drawn_by_means_of_neighbours() -> None:
    seconds = [place / 25 for place in range(10_000)]
    drawn = curves([(seconds, [1.0, 3.0] * 5_000)])
    assert drawn is not None
    found = places(drawn.lines[0])
    assert 300 < len(found) <= 600
    assert all(0 <= x <= CURVE_WIDTH and 0 <= y <= CURVE_HEIGHT for x, y in found)
    assert max(y for _, y in found) - min(y for _, y in found) < 10


def test_nothing_is_drawn_without_power() -> None:
    assert curves([]) is None
    assert curves([([], [])]) is None
    assert curves([([0.0], [0.0])]) is None
