"""The drawing of a history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.web.timeline import Timeline

NIGHT = datetime(2026, 12, 1, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("step", "written"),
    [
        (timedelta(days=1), ["2026-12-01", "2026-12-02", "2026-12-03"]),
        (timedelta(hours=1), ["12-01 22:00", "12-01 23:00", "12-02 00:00"]),
    ],
)
def test_moments_of_one_day_are_told_apart(step: timedelta, written: list[str]) -> None:
    moments = tuple((float(place), NIGHT + place * step) for place in range(3))
    drawing = Timeline((), "", (), None, (), (), (), (), moments)
    assert [at.strftime(drawing.x_form) for _, at in drawing.x_ticks] == written
