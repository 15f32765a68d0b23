"""Moments as people read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.moments import distance, noted, told

NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours before UTC, in a zone that every system knows by its rule alone."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "EET-2")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (0.4, "now"),
        (40, "in 40 s"),
        (-119, "119 s ago"),
        (-120, "2 min ago"),
        (7_100, "in 118 min"),
        (7_190, "in 2 h"),
        (-3 * 3_600, "3 h ago"),
        (47.6 * 3_600, "in 2 days"),
        (-20 * 86_400, "20 days ago"),
    ],
)
def test_a_distance_is_in_a_unit_that_keeps_the_number_small(seconds: float, words: str) -> None:
    assert distance(NOW + timedelta(seconds=seconds), NOW) == words


def test_a_moment_is_told_in_local_time_with_the_distance() -> None:
    assert told(NOW - timedelta(hours=3), NOW) == "2026-11-30 22:30, 3 h ago"
    assert told(NOW + timedelta(hours=2), NOW) == "2026-12-01 03:30, in 2 h"
    assert told(datetime(2026, 11, 30, 20, 30), NOW) == "2026-11-30 22:30, 3 h ago", (
        "without a zone, as databases keep UTC"
    )


def test_a_far_moment_is_a_date_alone() -> None:
    assert told(NOW - timedelta(days=31), NOW) == "2026-10-31 01:30"


def test_a_moment_in_a_kept_text_names_its_zone() -> None:
    assert noted(NOW, NOW + timedelta(minutes=10)) == "01:30 EET"
    assert noted(NOW, NOW + timedelta(days=1)) == "2026-12-01 01:30 EET"
    assert noted(NOW) == "2026-12-01 01:30 EET"
    assert noted(None, NOW) == "an unknown time"
