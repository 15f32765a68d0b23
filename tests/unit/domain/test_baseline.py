"""Which level counts, and which names a baseline may have."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.annotation import Annotation
from orchestrator.domain.baseline import Baseline, BaselineKind, checked_name, level_of, segment_began, whole_run
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.series import Series

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
METRICS = ("latency_ns", "size_bytes")


def series(key: int, device: str = "pi-03") -> Series:
    return Series(key, device, "digits", "fp32", "exec/c", {})


def level(key: int, kind: BaselineKind, of: int | None, metric: str | None, *, superseded: bool) -> Baseline:
    began = NOON.replace(minute=key)
    over = NOON if superseded else None
    return Baseline(
        key, "lab", f"run-{key}", began, kind, NOON, "ann", "?", None if of is None else series(of), metric, over
    )


CHOICES = st.tuples(
    st.sampled_from(BaselineKind), st.sampled_from((None, 1, 2, 3)), st.sampled_from((None, *METRICS)), st.booleans()
)
HISTORIES = st.lists(CHOICES, max_size=8).map(
    lambda choices: [
        level(key, kind, of, metric, superseded=over) for key, (kind, of, metric, over) in enumerate(choices)
    ]
)


@given(HISTORIES, st.integers(1, 3), st.sampled_from(METRICS))
def test_the_newest_present_level_that_covers_a_cell_counts(levels: list[Baseline], of: int, metric: str) -> None:
    covering = [one for one in levels if one.series in (None, series(of)) and one.metric in (None, metric)]
    present = [one for one in covering if one.superseded_at is None]
    assert level_of(levels, of, metric) == (present[-1] if present else None)
    accepted = [one for one in covering if one.kind is BaselineKind.ACCEPTED]
    assert segment_began(levels, of, metric) == (accepted[-1].run_started_at if accepted else None)
    whole = whole_run(levels)
    assert whole is None or (whole.series, whole.metric, whole.superseded_at) == (None, None, None)


@pytest.mark.parametrize("name", ["lab", "release-1.0", "Main_2"])
def test_a_name_that_nothing_else_has(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "2026-11-28", "20261128-010203-ab12", "last", "last-before", "a b", "-x", "é"])
def test_a_name_that_could_be_a_run_a_date_or_an_option_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a baseline"):
        checked_name(name)


def test_an_annotation_concerns_the_days_and_the_things_that_it_names() -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 3)
    for_all = Annotation(1, first, last, "heat", "ann", NOON)
    of_device = Annotation(2, first, last, "fan", "ann", NOON, device="pi-03")
    of_series = Annotation(3, first, last, "odd", "ann", NOON, device="pi-03", series=series(1))
    concerned = {
        (one.id, key, device)
        for one in (for_all, of_device, of_series)
        for key, device in ((1, "pi-03"), (2, "pi-03"), (3, "nano-01"))
        if one.concerns(date(2026, 3, 3), series(key, device))
    }
    assert concerned == {(1, 1, "pi-03"), (1, 2, "pi-03"), (1, 3, "nano-01"), (2, 1, "pi-03"), (2, 2, "pi-03")} | {
        (3, 1, "pi-03")
    }
    assert not for_all.concerns(date(2026, 2, 28), series(1))
    assert not for_all.concerns(date(2026, 3, 4), series(1))
