"""When windows are open, across midnight and in the nights in which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.window import Window, read_windows

BERLIN = "Europe/Berlin"
NIGHT = Window("nightly", "22:00-06:00", BERLIN)
DAY = Window("day", "08:00-18:00", BERLIN)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "closes"),
    [
        ("2026-12-01T20:59", None),
        ("2026-12-01T21:00", "2026-12-02T05:00"),
        ("2026-12-01T23:30", "2026-12-02T05:00"),
        ("2026-12-02T04:59", "2026-12-02T05:00"),
        ("2026-12-02T05:00", None),
    ],
)
def test_a_window_over_midnight(moment: str, closes: str | None) -> None:
    assert NIGHT.closes_at(at(moment)) == (None if closes is None else at(closes))


def test_the_next_opening_is_always_ahead() -> None:
    assert NIGHT.opens_at(at("2026-12-01T12:00")) == at("2026-12-01T21:00")
    assert NIGHT.opens_at(at("2026-12-01T21:00")) == at("2026-12-02T21:00")
    assert NIGHT.opens_at(at("2026-12-02T03:00")) == at("2026-12-02T21:00")
    assert DAY.opens_at(at("2026-12-01T12:00")) == at("2026-12-02T07:00")


def test_a_night_in_which_clocks_are_changed_is_shorter_or_longer() -> None:
    spring, autumn = at("2026-03-28T21:00"), at("2026-10-24T20:00")
    for begin, hours in ((spring, 7), (autumn, 9)):
        assert NIGHT.closes_at(begin - timedelta(minutes=1)) is None
        assert NIGHT.closes_at(begin) == begin + timedelta(hours=hours)


def test_an_hour_that_the_clocks_leave_out() -> None:
    """On 29 March 2026 Berlin has no time from 2:00 to 3:00, and 3:00 is 1:00 in UTC."""
    late, whole = Window("late", "02:30-04:00", BERLIN), Window("whole", "02:10-02:50", BERLIN)
    assert late.opens_at(at("2026-03-28T12:00")) == at("2026-03-29T01:00")
    assert late.closes_at(at("2026-03-29T01:30")) == at("2026-03-29T02:00")
    assert whole.opens_at(at("2026-03-28T12:00")) == at("2026-03-30T00:10"), "there is none in that night"
    assert whole.closes_at(at("2026-03-29T01:00")) is None


def test_an_hour_that_comes_twice() -> None:
    """On 25 October 2026 Berlin has each minute from 2:00 to 3:00 twice: the first one opens and closes."""
    late, early = Window("late", "02:30-04:00", BERLIN), Window("early", "22:00-02:30", BERLIN)
    assert late.opens_at(at("2026-10-24T12:00")) == at("2026-10-25T00:30")
    assert late.closes_at(at("2026-10-25T00:30")) == at("2026-10-25T03:00")
    assert early.closes_at(at("2026-10-24T23:00")) == at("2026-10-25T00:30")


@pytest.mark.parametrize("hours", ["22:00-06:00", "08:00-18:00", "18:00-24:00", "00:00-24:00", "02:30-02:45"])
@pytest.mark.parametrize("zone", ["UTC", BERLIN, "Australia/Lord_Howe", "America/New_York"])
def test_a_year_of_openings(hours: str, zone: str) -> None:
    """Each opening is ahead of the last, open at once, and closed just before unless the window never closes."""
    try:
        (window,) = read_windows({"w": {"hours": hours, "zone": zone}}, "here")
    except ConfigError:
        assert hours == "00:00-24:00"
        return
    moment = at("2026-01-01T00:00")
    while moment < at("2027-01-01T00:00"):
        opens = window.opens_at(moment)
        closes = window.closes_at(opens)
        assert closes is not None
        assert moment < opens < closes <= opens + timedelta(hours=25)
        assert window.closes_at(opens - timedelta(seconds=1)) is None
        assert window.closes_at(closes) is None
        moment = opens


def test_windows_are_read_from_hours_or_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Australia/Adelaide")
    table = {"nightly": "22:00-06:00", "ci": {"hours": "01:00-02:00", "zone": "UTC", "users": ["ci"], "select": "pi-*"}}
    assert read_windows(table, "here") == (
        Window("nightly", "22:00-06:00", "Australia/Adelaide"),
        Window("ci", "01:00-02:00", "UTC", ("ci",), "pi-*"),
    )
    for window in read_windows(table, "here"):
        assert Window.from_json(window.to_json()) == window


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("22:00-06:00", "expected a table of windows"),
        (["22:00-06:00"], "expected a table of windows"),
        ({"a b": "22:00-06:00"}, "window 'a b': no name"),
        ({"n": "22-6"}, "'22-6' are no hours"),
        ({"n": "22:00-24:30"}, "are no hours"),
        ({"n": "25:00-06:00"}, "are no hours"),
        ({"n": "06:00-06:00"}, "begin when they end"),
        ({"n": "00:00-24:00"}, "begin when they end"),
        ({"n": 7}, "it has no hours"),
        ({"n": {}}, "it has no hours"),
        ({"n": {"hours": "22:00-06:00", "user": "ci"}}, "unknown key 'user'"),
        ({"n": {"hours": "22:00-06:00", "users": "ci"}}, "users is no list of names"),
        ({"n": {"hours": "22:00-06:00", "users": [""]}}, "users is no list of names"),
        ({"n": {"hours": "22:00-06:00", "select": []}}, "select is no text"),
        ({"n": {"hours": "22:00-06:00", "zone": "Mars/Olympus"}}, "knows no time zone 'Mars/Olympus'"),
        ({"n": {"hours": "22:00-06:00", "zone": 7}}, "zone is no text"),
    ],
)
def test_what_is_no_window(value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_windows(value, "benchfleet.toml:3: windows")
    assert str(caught.value).startswith("benchfleet.toml:3: windows")
