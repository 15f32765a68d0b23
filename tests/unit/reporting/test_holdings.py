"""Who has a device, as people and programs read it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestrator.domain.lease import Busy, Holding, Lease
from orchestrator.reporting.fleet import device_rows, device_table, queue_line, release_line, reservation_line
from tests.unit.reporting import samples
from tests.unit.reporting.rendering import drawn

NOW = samples.BEGAN
RESERVATION = Lease(17, "pi-03", "ann@ws1", "pid 1", None, samples.HOSTILE, True, NOW, NOW, NOW + timedelta(hours=2), 5)
RUN = Lease(18, "pi-03", "ann@ws1", "pid 2", "run-1", None, True, NOW, NOW, NOW + timedelta(minutes=1), 6)
HELD = {"pi-03": Holding((RESERVATION, RUN), 2)}


def test_holders_have_a_column_where_there_are_any() -> None:
    assert "held by" not in drawn(device_table(samples.DEVICES))
    table = drawn(device_table(samples.DEVICES, {}, HELD))
    words = " ".join(table.split())
    assert "held by" in words
    assert "ann@ws1" in words
    assert "2 waiting" in words
    wide = drawn(device_table(samples.DEVICES, {}, HELD), width=400)
    assert "ann@ws1: run run-1 since 2024-06-01 03:15Z, until 2024-06-01 03:16Z unless renewed; 2 waiting" in wide
    assert "ann@ws1 until 2024-06-01 05:15Z, reservation 17 (" in wide
    assert "\x1b" not in table


def test_holders_are_data_too() -> None:
    rows = {row["name"]: row for row in device_rows(samples.DEVICES, {}, HELD)}
    held = rows["pi-03"]["held"]
    assert isinstance(held, list)
    assert [(lease["id"], lease["run"]) for lease in held] == [(17, None), (18, "run-1")]
    assert rows["pi-03"]["queue"] == 2
    assert (rows["coral-01"]["held"], rows["coral-01"]["queue"]) == ([], 0)


def test_a_reservation_says_until_when_and_its_id() -> None:
    line = reservation_line(RESERVATION).plain
    assert line.startswith("pi-03: reserved by ann@ws1 until 05:15 UTC (")
    assert line.endswith("; reservation 17")
    assert "\x1b" not in line
    assert release_line(RESERVATION).plain == "pi-03: released; reservation 17 of ann@ws1 is over"


def test_a_place_in_the_queue_names_who_is_in_the_way() -> None:
    assert queue_line("pi-03", Busy((RUN,), 1, 4, NOW)) == (
        "pi-03: place 2 in the queue: in use by run run-1 of ann@ws1 since 03:15 UTC"
    )
    assert queue_line("pi-03", Busy((), 1, 4, NOW)).endswith("1 waits for it already")


def test_whoever_is_refused_hears_until_when_and_whoever_waits_hears_no_news_at_each_renewal() -> None:
    busy = Busy((RUN,), 0, None, NOW)
    assert busy.refusal == "in use by run run-1 of ann@ws1 since 03:15 UTC, until 03:16 UTC unless renewed"
    assert Busy((RESERVATION,), 0, None, NOW).refusal == RESERVATION.sentence(NOW)
    renewed = replace(RUN, expires_at=NOW + timedelta(minutes=9))
    assert Busy((renewed,), 0, 4, NOW).sentence == Busy((RUN,), 0, 4, NOW).sentence
    assert Busy((), 2, None, NOW).refusal == "2 wait for it already"


def test_another_day_is_named() -> None:
    assert "since 2024-06-01 03:15 UTC" in RUN.sentence(NOW + timedelta(days=1))
