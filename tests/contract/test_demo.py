"""The made-up year of a lab: the same for each seed, on every database, and marked as made up."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from sqlalchemy import select, text

from orchestrator.bootstrap import Wiring
from orchestrator.domain.demo import DemoFilled, DemoRequest
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.night_document import from_document
from orchestrator.services.demo.fill import fill
from orchestrator.services.demo.lab import CLASSES
from orchestrator.services.demo.nights import LAST_NIGHT
from orchestrator.settings import load_settings
from orchestrator.store.schema import tables as t
from orchestrator.store.store import Store, open_store
from tests.databases import Databases

pytestmark = pytest.mark.system  # slow: kept out of the quick loop

SMALL = DemoRequest(devices=2, series=3, nights=4, seed=7)
LONGER = DemoRequest(devices=5, series=5, nights=24, seed=3)


def filled(url: str, request: DemoRequest) -> DemoFilled:
    with Wiring(load_settings({"db": url}, config=None)) as wiring:
        return fill(request, wiring)


def digests(store: Store) -> Mapping[str, str]:
    """Return a hash of all rows of each table."""
    with store.database.read() as connection:
        return {
            table.name: hashlib.sha256(
                repr(connection.execute(select(table).order_by(*table.primary_key)).all()).encode()
            ).hexdigest()
            for table in t.metadata.sorted_tables
        }


def query(url: str, statement: str) -> Sequence[Any]:
    with open_store(url) as store, store.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@pytest.fixture(scope="module")
def lab(databases: Databases) -> str:
    """Return the URL of a database with a made-up history of a few weeks."""
    url = databases.migrated()
    filled(url, LONGER)
    return url


@pytest.mark.system
def test_equal_seeds_give_equal_rows_and_other_seeds_do_not(databases: Databases) -> None:
    found = []
    for seed in (7, 7, 8):
        url = databases.empty()
        filled(url, DemoRequest(2, 3, 4, seed))
        with open_store(url) as store:
            found.append(digests(store))
    assert found[0] == found[1]
    assert found[0]["measurement"] != found[2]["measurement"]


@pytest.mark.system
def test_what_is_said_to_be_filled_in_is_there(databases: Databases) -> None:
    url = databases.empty()
    said = filled(url, SMALL)
    counts = "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM attempt WHERE finished_seq IS NOT NULL)"
    assert query(url, counts) == [(said.runs, said.attempts)]
    assert query(url, "SELECT count(*) FROM device") == [(2,)]
    assert query(url, "SELECT count(*), count(ended_at) FROM night") == [(4, 4)]
    assert query(url, "SELECT count(*) FROM series") == [(6,)]


@pytest.mark.system
def test_everything_is_marked_as_made_up(lab: str) -> None:
    assert query(lab, "SELECT name FROM device WHERE name NOT LIKE 'demo-%'") == []
    notes = "SELECT count(*) FROM run WHERE settings ->> 'note' = 'made up by benchfleet db demo: nothing was measured'"
    assert query(lab, notes) == query(lab, "SELECT count(*) FROM run")
    assert query(lab, "SELECT id FROM run WHERE id NOT LIKE '%-demo'") == []


@pytest.mark.system
def test_the_times_are_those_of_the_history(lab: str) -> None:
    with open_store(lab) as store, store.database.read() as connection:
        for table in t.metadata.sorted_tables:
            for column in (column for column in table.columns if column.name.endswith("_at") or column.name == "since"):
                newest = connection.execute(select(column).order_by(column.desc()).where(column.is_not(None))).first()
                assert newest is None or newest[0] < LAST_NIGHT.replace(month=10), (table.name, column.name)


@pytest.mark.system
def test_the_noise_is_that_of_the_devices(lab: str) -> None:
    found: dict[str, list[float]] = {}
    for device, noise in query(lab, "SELECT device, noise FROM v_noise WHERE metric = 'latency_ns' AND trials > 1"):
        found.setdefault(device, []).append(noise)
    assert len(found) == len(CLASSES)
    for kind in CLASSES:
        assert mean(found[f"demo-{kind.name}-01"]) == pytest.approx(kind.noise, rel=0.3), kind.name


@pytest.mark.system
def test_the_history_has_something_of_everything(lab: str) -> None:
    states = {state for (state,) in query(lab, "SELECT DISTINCT state FROM regression")}
    assert len(states) >= 3
    assert "confirmed" in states
    for view in ("v_open_regressions", "v_environment_change", "v_invalid", "v_missing", "v_power"):
        assert query(lab, f"SELECT 1 FROM {view} LIMIT 1") == [(1,)], view
    assert query(lab, "SELECT 1 FROM quarantine WHERE ended_at IS NOT NULL LIMIT 1") == [(1,)]
    assert query(lab, "SELECT 1 FROM measurement WHERE p99 IS NOT NULL LIMIT 1") == [(1,)]


@pytest.mark.system
def test_regressions_are_as_large_as_their_causes(lab: str) -> None:
    """The ratio on record is that of the values in the database, whatever the maker of the figures meant."""
    rows = query(
        lab,
        "SELECT regression.ratio, candidate.value FROM regression "
        "JOIN job ON job.series_id = regression.series_id "
        "JOIN run_device ON run_device.id = job.run_device_id AND run_device.run_id = regression.candidate_run_id "
        "JOIN cell_value AS candidate ON candidate.job_id = job.id AND candidate.kind = 'measure' "
        "AND candidate.metric = regression.metric WHERE regression.ratio IS NOT NULL",
    )
    assert rows
    assert all(1.0 < ratio < 1.5 and value > 0 for ratio, value in rows)


@pytest.mark.system
def test_each_night_has_a_report_that_reads(lab: str) -> None:
    with open_store(lab) as store:
        nights = store.nights.nights()
    assert len(nights) == LONGER.nights
    reports = [from_document(night.report or {}) for night in nights]
    assert {len(report.cells) for report in reports} <= set(range(1, 5 * 5 + 1))
    assert {night.exit_code for night in nights} == {0, 1}
    assert all(isinstance(report.began_at, datetime) for report in reports)


def test_a_database_with_rows_is_refused_and_left_alone(databases: Databases) -> None:
    url = databases.empty()
    filled(url, DemoRequest(1, 1, 1, 1))
    with open_store(url) as store:
        before = digests(store)
    with pytest.raises(ConfigError, match=r"the database is not empty: rows in .*\brun\b"):
        filled(url, SMALL)
    with open_store(url) as store:
        assert digests(store) == before


def test_another_programs_table_is_not_empty_space(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
        connection.execute("INSERT INTO songs VALUES ('x')")
    with pytest.raises(ConfigError, match="rows in songs"):
        filled(str(file), SMALL)
    with sqlite3.connect(file) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["songs"]


def test_more_series_than_there_are_cells_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "demo.db"
    with pytest.raises(ConfigError, match="at most 60 cells"):
        filled(str(file), DemoRequest(series=61))
    assert not file.exists()
