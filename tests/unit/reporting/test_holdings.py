"""Who has a device, as people and programs read it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta

from orchestrator.domain.lease import Busy, Holding, Lease
from orchestrator.reporting.formats import FORMATS
from orchestrator.reporting.reports.devices import devices_report
from orchestrator.reporting.tables.fleet import device_table, queue_line, release_line, reservation_line
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
    assert "ann@ws1: run run-1 since 2024-06-01 03:15, until 2024-06-01 03:16 unless renewed; 2 waiting" in wide
    assert "ann@ws1 until 2024-06-01 05:15, reservation 17 (" in wide
    assert "\x1b" not in table


def test_holders_are_data_too() -> None:
    stream = io.StringIO()
    FORMATS["json"].write(devices_report(samples.DEVICES, {}, HELD, {}), stream)
    rows = {row["name"]: row for row in json.loads(stream.getvalue())}
    held = rows["pi-03"]["held"]
    assert [(lease["id"], lease["run"]) for lease in held] == [(17, None), (18, "run-1")]
    assert rows["pi-03"]["queue"] == 2
    assert (rows["coral-01"]["held"], rows["coral-01"]["queue"]) == ([], 0)


def test_a_machine_that_is_in_use_under_another_name_is_not_shown_as_free() -> None:
    twin = {"coral-01": Holding((), 0, (replace(RESERVATION, reason="x"), RUN))}
    wide = drawn(device_table(samples.DEVICES, {}, twin), width=400)
    assert "as pi-03, the same machine: ann@ws1 until 2024-06-01 05:15, reservation 17 (x)" in wide
    assert "as pi-03, the same machine: ann@ws1: run run-1 since" in wide
    stream = io.StringIO()
    FORMATS["json"].write(devices_report(samples.DEVICES, {}, twin, {}), stream)
    (row,) = (row for row in json.loads(stream.getvalue()) if row["name"] == "coral-01")
    assert row["held"] == []
    assert [(lease["device"], lease["run"]) for lease in row["machine_held"]] == [("pi-03", None), ("pi-03", "run-1")]
    stream = io.StringIO()
    FORMATS["csv"].write(devices_report(samples.DEVICES, {}, twin, {}), stream)
    assert "pi-03: ann@ws1 reservation 17; pi-03: ann@ws1 run run-1" in stream.getvalue()
    shared = {"coral-01": Holding((), 0, (replace(RUN, shares_machine=True),))}
    played = [replace(device, exclusive=False) for device in samples.DEVICES]
    assert "run-1" not in drawn(device_table(played, {}, shared), width=400)


def test_a_reservation_says_until_when_and_its_id() -> None:
    line = reservation_line(RESERVATION).plain
    assert line.startswith("pi-03: reserved by ann@ws1 until 05:15 UTC (")
    assert line.endswith("; reservation 17")
    assert "\x1b" not in line
    assert release_line(RESERVATION).plain == "pi-03: released; reservation 17 of ann@ws1 is over"


def test_a_place_in_the_queue_names_who_is_in_the_way() -> None:
    assert queue_line("pi-03", Busy("pi-03", (RUN,), 1, 4, NOW)) == (
        "pi-03: place 2 in the queue: in use by run run-1 of ann@ws1 since 03:15 UTC"
    )
    assert queue_line("pi-03", Busy("pi-03", (), 1, 4, NOW)).endswith("1 waits for it already")


def test_whoever_is_refused_hears_until_when_and_whoever_waits_hears_no_news_at_each_renewal() -> None:
    busy = Busy("pi-03", (RUN,), 0, None, NOW)
    assert busy.refusal == "in use by run run-1 of ann@ws1 since 03:15 UTC, until 03:16 UTC unless renewed"
    assert Busy("pi-03", (RESERVATION,), 0, None, NOW).refusal == RESERVATION.sentence(NOW)
    renewed = replace(RUN, expires_at=NOW + timedelta(minutes=9))
    assert Busy("pi-03", (renewed,), 0, 4, NOW).sentence == Busy("pi-03", (RUN,), 0, 4, NOW).sentence
    assert Busy("pi-03", (), 2, None, NOW).refusal == "2 wait for it already"


def test_another_day_is_named() -> None:
    assert "since 2024-06-01 03:15 UTC" in RUN.sentence(NOW + timedelta(days=1))
