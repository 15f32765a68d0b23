"""The checker objects to labs in which something is wrong, and to nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.endurance.books import minute_moments
from tests.endurance.checker import Books, Moments, Open, Told, Wanted, judge_service
from tests.endurance.watcher import Fired

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
NAMES = ("incomplete", "moments", "windows", "shares")


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def told(run: str, **fields: Any) -> Told:
    whole = Told(run, run, "anna", "ended", None, None, minute(1), minute(2), {"pi-1": 2, "pi-2": 2})
    return replace(whole, **fields)


def regular(number: int, **fields: Any) -> Told:
    at = minute(3 * number + 0.05)
    return told(f"often-{number}", schedule="often", submitted_at=at, begun_at=at, counted={"pi-1": 3}, **fields)


def fired(number: int, **fields: Any) -> Fired:
    return replace(Fired("often", number + 1, minute(3 * number + 0.05), f"often-{number}"), **fields)


def books(**fields: Any) -> Books:
    """Return what is on record if all is well, but for `fields`."""
    whole = Books(
        wanted=[
            Wanted("one", "one", "anna", ("pi-1", "pi-2"), 2),
            Wanted("two", "two", "ben", 2, 2),
            Wanted("three", "three", "anna", ("pi-1",), 2, "late"),
        ],
        told=[
            told("one"),
            told("two", person="ben"),
            told("three", counted={"pi-1": 2}, begun_at=minute(11)),
            regular(1),
            regular(2),
        ],
        fired=[fired(1), fired(2)],
        moments=[Moments("often", [minute(3), minute(6)], 2, ("pi-1",), 3)],
        windows=[Open("late", minute(10), minute(20)), Open("own", minute(30), minute(40), ("pi-1",), "ben")],
        shares_told={"anna": 60.0, "ben": 30.0},
        shares_leased={"anna": 60.2, "ben": 30.0},
        seconds_of_trials={"anna": 20.0, "ben": 10.0},
    )
    return replace(whole, **fields)


def with_told(one: Told) -> list[Told]:
    """Return all submissions, with this one in the place of the one of its run."""
    others = [found for found in books().told if found.run != one.run]
    return [*others, one]


def wrong(found: Books) -> dict[str, int]:
    wrongs = judge_service(found)
    return {name: len(getattr(wrongs, name)) for name in NAMES if getattr(wrongs, name)}


def test_a_lab_in_which_all_is_well_is_clean() -> None:
    assert wrong(books()) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"told": books().told[1:]}, {"incomplete": 1}, id="a submission is gone"),
        pytest.param({"told": [*books().told, told("one")]}, {"incomplete": 1}, id="a submission is there twice"),
        pytest.param({"told": [*books().told, told("nobody's")]}, {"incomplete": 4}, id="nobody submitted it"),
        pytest.param({"told": with_told(told("one", state="held"))}, {"incomplete": 1}, id="held"),
        pytest.param({"told": with_told(told("one", state="waiting"))}, {"incomplete": 1}, id="waiting"),
        pytest.param({"told": with_told(told("one", error="incomplete: 1 trial"))}, {"incomplete": 1}, id="incomplete"),
        pytest.param({"told": with_told(told("one", counted={"pi-1": 2}))}, {"incomplete": 1}, id="a device lacks"),
        pytest.param(
            {"told": with_told(told("one", counted={"pi-1": 2, "pi-3": 2}))}, {"incomplete": 1}, id="another device"
        ),
        pytest.param(
            {"told": with_told(told("one", counted={"pi-1": 2, "pi-2": 1}))}, {"incomplete": 1}, id="a trial lacks"
        ),
        pytest.param(
            {"told": with_told(told("one", counted={"pi-1": 2, "pi-2": 3}))}, {"incomplete": 1}, id="a trial too many"
        ),
        pytest.param(
            {"told": with_told(told("two", person="ben", counted={"pi-1": 2}))},
            {"incomplete": 1},
            id="too few for need",
        ),
    ],
)
def test_submissions(fields: Mapping[str, Any], expected: dict[str, int]) -> None:
    assert wrong(books(**fields)) == expected


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"fired": [fired(1)]}, id="a firing that nobody saw"),
        pytest.param({"fired": [fired(1), fired(2), fired(2, at=minute(6.2), made="skipped: x")]}, id="fired twice"),
        pytest.param({"fired": [fired(1, at=minute(2.9)), fired(2)]}, id="too early"),
        pytest.param({"fired": [fired(1), fired(2, at=minute(5.9))]}, id="a moment that another firing took"),
        pytest.param({"fired": [fired(1), fired(2, made="failed: gone")]}, id="made nothing"),
        pytest.param(
            {"moments": [Moments("often", [minute(3), minute(6), minute(9)], 2, ("pi-1",), 3)]}, id="a moment lacks"
        ),
        pytest.param({"moments": [Moments("often", [minute(3), minute(6)], 3, ("pi-1",), 3)]}, id="one firing more"),
        pytest.param({"told": [*books().told, regular(7)]}, id="a run that no moment made"),
    ],
)
def test_moments(fields: Mapping[str, Any]) -> None:
    assert judge_service(books(**fields)).moments


def test_a_moment_that_found_an_earlier_run_going_on_needs_none() -> None:
    skipped = books(fired=[fired(1), fired(2, made="skipped: often-1 of before is not over")], told=books().told[:-1])
    assert wrong(skipped) == {}


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(told("three", counted={"pi-1": 2}, begun_at=minute(9)), id="before the window"),
        pytest.param(told("three", counted={"pi-1": 2}, begun_at=minute(21)), id="after the window"),
        pytest.param(told("one", begun_at=minute(35)), id="on a device that is kept"),
    ],
)
def test_windows(one: Told) -> None:
    assert wrong(books(told=with_told(one))) == {"windows": 1}


def test_the_person_of_a_window_and_other_devices_are_not_kept_out() -> None:
    assert wrong(books(told=with_told(told("two", person="ben", begun_at=minute(35))))) == {}
    elsewhere = told("one", begun_at=minute(35), counted={"pi-2": 2, "pi-3": 2})
    assert "windows" not in wrong(books(told=with_told(elsewhere)))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"shares_told": {"anna": 90.0, "ben": 30.0}}, id="more than the leases"),
        pytest.param({"shares_told": {"ben": 30.0}}, id="a person lacks"),
        pytest.param({"seconds_of_trials": {"anna": 70.0, "ben": 10.0}}, id="less than the trials"),
    ],
)
def test_shares(fields: Mapping[str, Any]) -> None:
    assert judge_service(books(**fields)).shares


def test_moments_are_counted_by_the_minute() -> None:
    assert minute_moments(2, 5, START, minute(12)) == [minute(2), minute(7), minute(12)]
    assert minute_moments(7, 10, minute(56), minute(70)) == [minute(57), minute(67)]
    assert minute_moments(0, 3, minute(3), minute(6)) == [minute(6)], "the moment of the addition itself has passed"
