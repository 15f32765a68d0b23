"""When a cron expression comes, also in the nights in which clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain import zone as zones
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.schedule import Rhythm, delay_of
from orchestrator.domain.zone import local_zone
from orchestrator.specs.cron import due_after, next_moments

BERLIN, ADELAIDE = "Europe/Berlin", "Australia/Adelaide"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def coming(cron: str, zone: str, begin: str, count: int) -> list[str]:
    found, moment = [], at(begin)
    for _ in range(count):
        moment = due_after(cron, zone, moment)
        found.append(f"{moment:%d %H:%M}")
    return found


def test_the_time_of_day_is_that_of_the_zone() -> None:
    assert due_after("0 22 * * *", BERLIN, at("2026-12-01T12:00")) == at("2026-12-01T21:00")
    assert due_after("0 22 * * *", BERLIN, at("2026-07-01T12:00")) == at("2026-07-01T20:00")
    assert due_after("0 22 * * *", "UTC", at("2026-12-01T22:00")) == at("2026-12-02T22:00"), "after, not at"


def test_a_time_that_the_clocks_leave_out_comes_right_behind_the_gap() -> None:
    """On 29 March 2026 at 2:00 in Berlin clocks go on at 3:00, which is 1:00 in UTC."""
    assert coming("30 2 * * *", BERLIN, "2026-03-27T12:00", 4) == ["28 01:30", "29 01:00", "30 00:30", "31 00:30"]


def test_a_time_that_comes_twice_counts_once() -> None:
    """On 25 October 2026 Berlin has each minute from 2:00 to 3:00 twice, from midnight and from 1:00 in UTC."""
    assert coming("30 2 * * *", BERLIN, "2026-10-24T12:00", 2) == ["25 00:30", "26 01:30"]
    # From within the hour, first and second time.
    assert coming("30 2 * * *", BERLIN, "2026-10-25T00:45", 1) == ["26 01:30"]
    assert coming("30 2 * * *", BERLIN, "2026-10-25T01:15", 1) == ["26 01:30"]


def test_half_past_one_comes_once_where_half_hours_are_changed() -> None:
    """On 1 November 2026 New York has each minute from 1:00 to 2:00 twice; Lord Howe changes by half an hour."""
    assert coming("30 1 * * *", "America/New_York", "2026-10-31T12:00", 2) == ["01 05:30", "02 06:30"]
    assert coming("45 1 * * *", "Australia/Lord_Howe", "2027-04-02T20:00", 2) == ["03 14:45", "04 15:15"]


def test_what_is_due_every_hour_goes_by_real_time() -> None:
    assert coming("0 * * * *", BERLIN, "2026-03-28T23:30", 3) == ["29 00:00", "29 01:00", "29 02:00"]
    assert coming("0 * * * *", BERLIN, "2026-10-24T23:30", 4) == ["25 00:00", "25 01:00", "25 02:00", "25 03:00"]


@pytest.mark.parametrize("zone", ["UTC", BERLIN, ADELAIDE, "America/New_York"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 * * * *", "0 */3 * * *", "15 1,2,3 * * *", "0 2 * * sun"])
def test_a_year_of_moments_only_grows(cron: str, zone: str) -> None:
    """Never backwards, never twice, and from each moment the same as in a row."""
    moment = at("2026-01-01T00:00")
    for _ in range(400):
        then = due_after(cron, zone, moment)
        assert then > moment
        assert due_after(cron, zone, then - timedelta(seconds=1)) == then
        moment = then


@pytest.mark.parametrize("cron", ["", "0 22 * *", "0 0 22 * * *", "61 * * * *", "0 22 * * someday", "0 0 30 2 *"])
def test_no_expression(cron: str) -> None:
    with pytest.raises(ConfigError, match="is no cron expression"):
        due_after(cron, "UTC", at("2026-12-01T12:00"))


@pytest.mark.parametrize("zone", ["", "Berlin", "Europe", "../../etc/passwd", "/etc/passwd", "a\0b", "e" * 5000])
def test_no_zone(zone: str) -> None:
    with pytest.raises(ConfigError, match="knows no time zone"):
        due_after("0 22 * * *", zone, at("2026-12-01T12:00"))


def test_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TZ", ":Europe/Berlin")
    assert local_zone() == BERLIN
    monkeypatch.setenv("TZ", "CET-1CEST")
    assert local_zone() == "UTC"
    monkeypatch.delenv("TZ")
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Australia/Adelaide")
    monkeypatch.setattr(zones, "_LOCAL_TIME", link)
    assert local_zone() == ADELAIDE
    monkeypatch.setattr(zones, "_LOCAL_TIME", tmp_path)
    assert local_zone() == "UTC"


def test_a_schedule_is_late_by_the_same_length_each_time() -> None:
    rhythm = Rhythm("0 22 * * *", "UTC", 3600)
    first = next_moments(7, rhythm, at("2026-12-01T12:00"))
    second = next_moments(7, rhythm, first.fires_at)
    assert first.due_at == at("2026-12-01T22:00")
    assert first.fires_at - first.due_at == second.fires_at - second.due_at == delay_of(7, 3600)
    assert second.due_at - first.due_at == timedelta(days=1)
    delays = {delay_of(number, 3600) for number in range(100)}
    assert len(delays) > 90
    assert timedelta(0) <= min(delays) <= max(delays) <= timedelta(hours=1)
    assert delay_of(7, 0) == timedelta(0)


def test_no_moment_is_lost_to_a_delay_longer_than_the_time_between_two() -> None:
    rhythm = Rhythm("*/10 * * * *", "UTC", 86_400)
    moments = next_moments(7, rhythm, at("2026-12-01T12:00"))
    for _ in range(20):
        then = next_moments(7, rhythm, moments.fires_at)
        assert then.fires_at - moments.fires_at == timedelta(minutes=10)
        moments = then
