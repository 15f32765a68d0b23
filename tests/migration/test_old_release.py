"""Old and new together: what release 0.1 wrote, into databases and on devices, is read by the present code.

`tests/fixtures/make_release.py` made it: a database at revision 0001 in which one run is over and another went on
alone on its device, and the event log that this device wrote meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, column, insert, inspect, select, table, text

from device_worker.protocol.records import split_records
from orchestrator.domain.conversation import RecordsArrived
from orchestrator.domain.run import DeviceRunState, Offset
from orchestrator.store.schema import migrations, tables
from orchestrator.store.sql.engine import Database, parse_url
from orchestrator.store.store import open_store
from tests.databases import Databases
from tests.fixtures.make_release import REPOSITORY

RELEASE = Path(__file__).resolve().parents[1] / "fixtures" / "release-0.1"
LOG = RELEASE / "log"
REVISION = "0001"
TRIALS = 18
MEASURED = 12  # fp16 has no kernel, so that a third of them failed


def old_sqlite(file: Path) -> str:
    """Make the database that the release left; return its URL."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((RELEASE / "database.sql").read_text(encoding="utf-8"))
    return f"sqlite:///{file}"


@pytest.fixture
def old_url(databases: Databases, tmp_path: Path) -> Iterator[str]:
    """A database at the old revision with the old rows, of both kinds."""
    url = old_sqlite(tmp_path / "old.db")
    if databases.kind == "sqlite":
        yield url
        return
    target = databases.empty()
    source_database, target_database = Database(parse_url(url)), Database(parse_url(target))
    migrations.migrate(target_database, REVISION)
    with source_database.read() as source, target_database.write() as sink:
        for known in tables.metadata.sorted_tables:
            copy_rows(source, sink, known)
    source_database.close()
    target_database.close()
    yield target


def copy_rows(source: Connection, sink: Connection, known: Table) -> None:
    """Copy the rows of a table that the old revision had, through the columns that it had."""
    if not inspect(source).has_table(known.name):
        return
    present = {one["name"] for one in inspect(source).get_columns(known.name)}
    columns = [column(one.name, one.type) for one in known.columns if one.name in present]
    old = table(known.name, *columns)
    rows = [dict(row) for row in source.execute(select(old)).mappings()]
    if rows:
        sink.execute(insert(old), rows)
    if rows and "id" in rows[0] and isinstance(rows[0]["id"], int):
        newest = max(row["id"] for row in rows)
        sink.execute(
            text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :newest)"), {"name": known.name, "newest": newest}
        )


def runs_of(url: str) -> tuple[str, str]:
    """Return the run that is over and the one that went on alone."""
    database = Database(parse_url(url))
    with database.read() as connection:
        over, alone = connection.execute(select(tables.run.c.id).order_by(tables.run.c.started_at)).scalars()
    database.close()
    return over, alone


def test_the_fixture_is_what_it_says(tmp_path: Path) -> None:
    database = Database(parse_url(old_sqlite(tmp_path / "old.db")))
    with database.read() as connection:
        assert migrations.revision(connection) == REVISION
        assert connection.exec_driver_sql("SELECT count(*) FROM attempt").scalar() == TRIALS
    database.close()
    events, used = split_records(LOG.read_bytes())
    assert used == LOG.stat().st_size
    assert (events[0]["protocol"], events[-1]["kind"]) == (1, "run-finished")


def test_an_old_database_is_upgraded_with_its_data(old_url: str) -> None:
    over, _ = runs_of(old_url)
    with open_store(old_url, upgrade=True) as store:
        with store.database.read() as connection:
            assert migrations.revision(connection) == migrations.HEAD
            assert connection.exec_driver_sql("SELECT count(*) FROM attempt").scalar() == TRIALS
        results = store.results.cell_results(over, "latency_ns")
        medians = {(one.cell.variant, one.cell.settings["threads"]): sorted(one.trial_values) for one in results}
        assert medians["fp32", 1] == [42104, 42105, 42106]
        assert medians["int8", 2] == [21204, 21205, 21206]
        with store.database.read() as connection:
            attempt = connection.exec_driver_sql("SELECT min(attempt_id) FROM sample_block").scalar_one()
        samples = store.results.load_samples(attempt, "latency_ns")
        assert samples is not None
        assert len(samples) == 5


def test_the_log_of_an_old_worker_is_ingested_once(old_url: str) -> None:
    _, run = runs_of(old_url)
    lines = LOG.read_bytes()
    events, _ = split_records(lines)
    log_id, last = events[0]["log_id"], events[-1]["seq"]
    arrived = RecordsArrived("desk-02", run, log_id, 1, last, lines)
    with open_store(old_url, upgrade=True) as store:
        assert store.logs.offset(run, "desk-02").last_seq < last
        store.logs.ingest([arrived])
        store.logs.ingest([arrived])
        assert store.logs.offset(run, "desk-02") == Offset(log_id, last)
        assert store.runs.standings(run, ["desk-02"])["desk-02"].state is DeviceRunState.COMPLETE
        with store.database.read() as connection:
            outcomes = connection.execute(
                select(tables.attempt.c.outcome)
                .join(tables.trial, tables.trial.c.id == tables.attempt.c.trial_id)
                .join(tables.run_device, tables.run_device.c.id == tables.trial.c.run_device_id)
                .where(tables.run_device.c.run_id == run)
            ).scalars()
            counts = Counter(outcomes)
        assert (counts.total(), counts["ok"]) == (TRIALS, MEASURED)
        assert store.power.power_uses(run) == [], "that worker told nothing of it to this program"


@pytest.mark.system
def test_the_commands_read_an_old_database(old_url: str, tmp_path: Path, databases: Databases) -> None:
    over, alone = runs_of(old_url)
    if databases.kind == "postgresql":
        refused = command(old_url, tmp_path, "runs", "show", over, ends=4)
        assert "run: benchfleet db upgrade" in refused.stderr
    command(old_url, tmp_path, "db", "upgrade")

    listed = as_json(old_url, tmp_path, "runs", "list")
    assert {one["run"] for one in listed} == {over, alone}
    assert over in command(old_url, tmp_path, "runs", "show", over, ends=3).stdout
    compared = as_json(old_url, tmp_path, "compare", over, "--by", "variant", "--base", "fp32")
    assert "int8" in json.dumps(compared)
    rows = as_json(
        old_url, tmp_path, "sql", f"SELECT count(*) AS n FROM v_history WHERE run = '{over}' AND metric = 'latency_ns'"
    )
    assert rows == [{"n": MEASURED}]


def as_json(url: str, folder: Path, *arguments: str) -> Any:
    return json.loads(command(url, folder, *arguments, "--json").stdout)


def command(url: str, folder: Path, *arguments: str, ends: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command, outside of the checkout."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(REPOSITORY), "BENCHFLEET_DB": url},
        timeout=100,
    )  # fmt: skip
    assert done.returncode == ends, done.stderr
    return done
