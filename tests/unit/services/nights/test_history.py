"""What earlier nights say of a cell: the present segment, the baseline, the regression that stands, the quarantine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from orchestrator.analysis.nights.subjects import Key
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import Cell
from orchestrator.domain.night import CellMemory, NightCell, NightReport, NightState, NightVerdict
from orchestrator.domain.night_document import to_document
from orchestrator.domain.nightly import BaselineChoice, BaselineRule
from orchestrator.domain.regression import Direction, Regression, RegressionState
from orchestrator.domain.series import Series
from orchestrator.services.nights.history import NIGHTS_READ, Past, Segment, read_past
from orchestrator.store.store import Store

V = NightVerdict
KEY = Key("pi-03", "digits · int8", "latency_ns")
FIRST = datetime(2026, 11, 1, 2, tzinfo=UTC)
LAST_GOOD = BaselineRule()


def a_memory(value: float | None) -> CellMemory:
    return CellMemory(value, 1e-4, 4.0, 2.2, 0.0, "abc", "env")


def a_night(
    number: int, verdict: NightVerdict = V.CLEAN, regression: int | None = None, **memory: object
) -> NightReport:
    kept = replace(a_memory(float(number)), **memory)  # type: ignore[arg-type]
    cell = Cell(f"run-{number}", KEY.device, "digits", "int8", "ai-edge-litert==2.3.0", {})
    night = NightCell(cell, KEY.metric, "digits", KEY.slot, verdict, "why", regression=regression, memory=kept)
    began = FIRST + timedelta(days=number)
    return NightReport(
        night=f"digits-{number}",
        nightly="digits",
        began_at=began,
        ended_at=began + timedelta(hours=2),
        state=NightState.COMPLETE,
        exit_code=ExitCode.FINE,
        candidate=(),
        baseline=(),
        devices=(KEY.device,),
        device_time_s=0.0,
        extra_s=0.0,
        allowance=0.08,
        cells=(night,),
    )


def a_regression(state: RegressionState) -> Regression:
    series = Series(1, KEY.device, "digits", "int8", "ai-edge-litert==2.3.0", {})
    return Regression(
        7, "digits", series, KEY.metric, Direction.ROSE, state, "run-3", "digits-3", confirmed_night="digits-3"
    )


def segment(nights: Sequence[NightReport], *regressions: Regression, began: datetime | None = None) -> Segment:
    return Past(list(reversed(nights)), regressions).segment(KEY, began)


def test_every_night_counts_until_the_level_changes() -> None:
    nights = [a_night(number) for number in range(5)]
    assert segment(nights).values == (0.0, 1.0, 2.0, 3.0, 4.0)
    nights[2] = a_night(2, V.IMPROVED, new_segment=True)
    assert segment(nights).values == (2.0, 3.0, 4.0)


def test_a_level_that_a_person_accepted_begins_a_segment_with_the_night_of_its_run() -> None:
    nights = [a_night(number) for number in range(5)]
    run_began = FIRST + timedelta(days=3, minutes=5)
    assert segment(nights, began=run_began).values == (3.0, 4.0)


REGRESSED = [a_night(0), a_night(1), a_night(2), a_night(3, V.CONFIRMED, 7), a_night(4, V.CONFIRMED, 7)]


@pytest.mark.parametrize("state", [RegressionState.CONFIRMED, RegressionState.ACKNOWLEDGED])
def test_nights_of_a_standing_regression_say_nothing_of_the_level(state: RegressionState) -> None:
    found = segment(REGRESSED, a_regression(state))
    assert found.values[:3] == (0.0, 1.0, 2.0)
    assert all(math.isnan(value) for value in found.values[3:])
    assert found.standing is not None
    assert (found.standing.id, found.standing.since) == (7, "digits-3")
    assert found.standing.known is (state is RegressionState.ACKNOWLEDGED)
    baseline = found.baseline(LAST_GOOD)
    assert baseline is not None
    assert baseline.report.night == "digits-0"


def test_a_step_that_no_first_look_sees_is_not_the_next_nights_baseline() -> None:
    """A rerun beside last night's build shows nothing of a step that last night's build has too."""
    for count, expected in ((1, 0), (3, 0), (4, 0), (5, 1), (30, 26)):
        baseline = segment([a_night(number) for number in range(count)]).baseline(LAST_GOOD)
        assert baseline is not None
        assert baseline.report.night == f"digits-{expected}"


@pytest.mark.parametrize("between", [V.INCONCLUSIVE, V.DOES_NOT_LOAD, V.QUARANTINED])
def test_a_night_without_a_value_takes_nothing_from_a_standing_regression(between: NightVerdict) -> None:
    nights = [a_night(2), a_night(3, V.CONFIRMED, 7, change=0.26), a_night(4, between, 7, value=None, change=None)]
    standing = segment(nights, a_regression(RegressionState.CONFIRMED)).standing
    assert standing is not None
    assert standing.change == 0.26
    assert standing.verdict is (V.DOES_NOT_LOAD if between is V.DOES_NOT_LOAD else V.CONFIRMED)


def test_a_lost_cell_is_lost_still_after_a_night_without_its_device() -> None:
    nights = [a_night(2), a_night(3, V.DOES_NOT_LOAD, 7, value=None), a_night(4, V.INCONCLUSIVE, 7, value=None)]
    standing = segment(nights, a_regression(RegressionState.CONFIRMED)).standing
    assert standing is not None
    assert (standing.change, standing.verdict) == (None, V.DOES_NOT_LOAD)


def test_an_accepted_regression_does_not_come_back_and_begins_a_segment() -> None:
    found = segment(REGRESSED, a_regression(RegressionState.ACCEPTED))
    assert found.values == (3.0, 4.0)
    assert found.standing is None


def test_an_invalid_regression_was_a_night_like_others() -> None:
    found = segment(REGRESSED, a_regression(RegressionState.INVALID))
    assert found.values == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert found.standing is None


def test_after_a_fix_the_old_level_is_expected_again() -> None:
    nights = [*REGRESSED, a_night(5, V.FIXED, 7), a_night(6)]
    found = segment(nights, a_regression(RegressionState.FIXED))
    assert found.standing is None
    assert [value for value in found.values if not math.isnan(value)] == [0.0, 1.0, 2.0, 5.0, 6.0]


def test_a_suspected_night_is_no_baseline_for_its_successors() -> None:
    calm = [a_night(number) for number in range(5)]
    nights = [*calm, a_night(5, suspected=True), a_night(6, V.SUSPECTED, suspected=True)]
    baseline = segment(nights).baseline(LAST_GOOD)
    assert baseline is not None
    assert baseline.report.night == "digits-1"


@pytest.mark.parametrize(
    ("state", "expected"), [(RegressionState.CONFIRMED, "digits-1"), (RegressionState.ACCEPTED, "digits-2")]
)
def test_a_night_that_was_less_accurate_is_no_baseline_of_an_accuracy(state: RegressionState, expected: str) -> None:
    """The latency of such a night may be clean, and beside itself no accuracy would ever fall."""
    nights = [a_night(number) for number in range(6)]
    worse = replace(nights[5].cells[0], metric="accuracy_top1", verdict=V.CONFIRMED, regression=7)
    nights[5] = replace(nights[5], cells=(*nights[5].cells, worse))
    past = Past(list(reversed(nights)), [a_regression(state)])
    left_out = past.regressed(Key(KEY.device, KEY.slot, "accuracy_top1"))
    baseline = past.segment(KEY, None).baseline(LAST_GOOD, left_out)
    assert baseline is not None
    assert baseline.report.night == expected


@pytest.mark.parametrize(("nights", "expected"), [(2, "digits-3"), (4, "digits-1"), (30, "digits-0")])
def test_a_rolling_baseline_is_so_many_nights_old(nights: int, expected: str) -> None:
    baseline = segment([a_night(number) for number in range(5)]).baseline(BaselineRule(BaselineChoice.ROLLING, nights))
    assert baseline is not None
    assert baseline.report.night == expected


@pytest.mark.parametrize(
    ("memory", "words"),
    [({"unruly": True}, "jumped between levels in 5 of 5 nights"), ({"variance": 0.09}, "scatter by 30 %"), ({}, None)],
)
def test_a_series_that_nobody_can_judge_quarantines_itself(memory: dict[str, object], words: str | None) -> None:
    noisy = segment([a_night(number, **memory) for number in range(5)]).noisy()  # type: ignore[arg-type]
    assert (noisy is None) is (words is None)
    assert (words or "") in (noisy or "")


def test_a_quarantine_has_the_date_of_its_first_night_without_a_break() -> None:
    nights = [a_night(0, V.QUARANTINED), a_night(1), a_night(2, V.QUARANTINED), a_night(3, V.QUARANTINED)]
    past = Past(list(reversed(nights)), ())
    assert past.quarantined_since(KEY, FIRST + timedelta(days=4)) == "2026-11-03"
    assert Past((), ()).quarantined_since(KEY, FIRST) == "2026-11-01"


class _Regressions:
    def __init__(self, *found: Regression) -> None:
        self._found = found

    def regressions(self, nightly: str) -> Sequence[Regression]:
        return self._found


def test_a_regression_that_stands_for_months_keeps_its_baseline(store: Store) -> None:
    """Else its fix could not be told from the regression."""
    for number in range(NIGHTS_READ + 10):
        night = a_night(number) if number < 6 else a_night(number, V.CONFIRMED, 7)
        # Names that sort as the nights do: many begin within one tick of the clock.
        report = replace(night, night=f"digits-{number:03}")
        store.nights.begin_night(report.night, "digits")
        store.nights.end_night(report.night, 0, to_document(report))
    stands = replace(a_regression(RegressionState.CONFIRMED), first_night="digits-006")
    roles = SimpleNamespace(nights=store.nights, regressions=_Regressions(stands), words=store.words)

    past = read_past(roles, "digits", "tonight")

    assert len(past.reports) < NIGHTS_READ + 10
    found = past.segment(KEY, None)
    assert found.standing is not None
    baseline = found.baseline(LAST_GOOD)
    assert baseline is not None
    assert baseline.report.night == "digits-002"
