"""What people write for a time, and for a series."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.series import Series
from orchestrator.domain.series_history import Window
from orchestrator.services.history.series import SERIES_MAX, picked_series
from orchestrator.services.history.window import read_window
from orchestrator.store.store import Store

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "begin", "end"),
    [
        (None, None, None, None),
        ("2026-03-01", "2026-03-02", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)),
        ("2d", "12h", datetime(2026, 3, 8, 12, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)),
        ("1w", None, datetime(2026, 3, 3, 12, tzinfo=UTC), None),
        ("2026-03-01T22:00", None, datetime(2026, 3, 1, 22, tzinfo=UTC), None),
        ("2026-03-01T22:00+02:00", None, datetime(2026, 3, 1, 20, tzinfo=UTC), None),
    ],
)
def test_dates_and_ages_are_read(
    since: str | None, until: str | None, begin: datetime | None, end: datetime | None
) -> None:
    assert read_window(since, until, 9, NOW) == Window(begin, end, 9)


@pytest.mark.parametrize("text", ["yesterday", "20260301", "2026-02-30", "5", "5y", "-3d", "", "99999999w"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time"):
        read_window(text, None, 9, NOW)


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigError, match="not before"):
        read_window("2d", "3d", 9, NOW)


class Listed:
    """Has series in memory, and reads them as a database does."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._series = series

    def find_series(
        self, ids: Collection[int] | None = None, device: str | None = None, variant: str | None = None
    ) -> Sequence[Series]:
        return [
            one
            for one in self._series
            if (ids is None or one.id in ids) and device in (None, one.device) and variant in (None, one.variant)
        ]


SERIES = [
    Series(1, "pi-03", "digits", "fp32", "tflite-runtime==2.14.0", {"threads": 1, "fast": True}),
    Series(2, "pi-03", "digits", "int8", "tflite-runtime==2.14.0", {"threads": 2, "device": "x"}),
    Series(3, "nano", "digits", "int8", "exec/c", {}),
]


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (("2",), [2]),
        (("device=pi-03",), [1, 2]),
        (("variant=int8",), [2, 3]),
        (("variant=int*,device=n*",), [3]),
        (("threads=2",), [2]),
        (("fast=true",), [1]),
        (("settings.device=x",), [2]),
        ((SERIES[0].label,), [1]),
        (("3", "variant=int8", "3"), [3, 2]),
    ],
)
def test_series_are_picked_by_id_label_and_rule(texts: Sequence[str], ids: list[int]) -> None:
    assert [one.id for one in picked_series(texts, Listed(SERIES))] == ids  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("9", "a series is an id"),
        ("99999999999999999999", "a series is an id"),
        ("varient=int8", "did you mean 'variant'"),
        ("variant=int9", "did you mean 'int8'"),
        ("variant=fp32,device=nano", "a series is an id"),
        ("pi-03", "a series is an id"),
        ("device=", "a series is an id"),
    ],
)
def test_what_matches_nothing_says_what_there_is(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        picked_series([text], Listed(SERIES))  # type: ignore[arg-type]
    assert hint in str(refused.value.hint)


def test_more_series_than_anybody_reads_are_refused() -> None:
    many = [Series(place, f"d{place}", "m", "v", "r", {}) for place in range(SERIES_MAX + 1)]
    with pytest.raises(ConfigError, match="series match"):
        picked_series(["variant=v"], Listed(many))  # type: ignore[arg-type]


def test_an_empty_database_says_how_series_begin(store: Store) -> None:
    with pytest.raises(ConfigError) as refused:
        picked_series(["1"], store.series)
    assert "benchfleet run" in str(refused.value.hint)
