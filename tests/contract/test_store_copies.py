"""A copy of a database has every row of every table, whatever kind of database each of the two is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Granted, LeaseRequest
from orchestrator.domain.schema_status import CopiedTable
from orchestrator.store.schema import copying
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.bulk import insert_stream
from orchestrator.store.sql.engine import Database, parse_url
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, sample_device
from orchestrator.testing.event_logs import save_snapshot as save
from tests.contract.planned_runs import Planned
from tests.databases import Databases, SqliteDatabases
from tests.histories import store_random_history


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def goals(request: pytest.FixtureRequest) -> Databases:
    """Makes the databases to copy into."""
    named = "sqlite_databases" if request.param == "sqlite" else "postgres_databases"
    found: Databases = request.getfixturevalue(named)
    return found


@pytest.fixture
def goal(goals: Databases) -> Iterator[Store]:
    with open_store(goals.migrated()) as opened:
        yield opened


def rows_of(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.database.read() as connection:
        return {
            table.name: sorted((dict(row) for row in connection.execute(select(table)).mappings()), key=repr)
            for table in t.metadata.sorted_tables
        }


def save_snapshot(store: Store, device: Device) -> int:
    return save(store, device, Facts(FACTS), STARTED_AT)


def copy(source: Store, goal: Store) -> list[CopiedTable]:
    return list(copying.copy_rows(source.database, goal.database, lambda _: None))


@pytest.mark.system
def test_every_row_arrives_as_it_was(store: Store, goal: Store) -> None:
    store_random_history(store, seed=1)
    store.leases.database_id()
    copied = copy(store, goal)
    expected = rows_of(store)
    assert rows_of(goal) == expected
    assert {one.table: one.rows for one in copied} == {table: len(rows) for table, rows in expected.items()}
    assert len([table for table, rows in expected.items() if rows]) > 15
    with goal.database.read() as connection:
        views = "SELECT count(*) FROM v_history"
        assert connection.execute(text(views)).scalar() == len(
            [row for row in expected["measurement"] if is_counted(row["attempt_id"], expected)]
        )


def is_counted(attempt: int, rows: dict[str, list[dict[str, Any]]]) -> bool:
    return any(one["counted"] for one in rows["attempt"] if one["id"] == attempt)


def test_a_copy_goes_on_counting_where_the_original_was(store: Store, goal: Store) -> None:
    first = save_snapshot(store, sample_device())
    copy(store, goal)
    assert save_snapshot(goal, sample_device()) == first + 1
    assert save_snapshot(goal, sample_device("nano-01")) == first + 2


def test_rows_may_refer_to_later_rows_of_their_table(store: Store, goal: Store, planned: Planned) -> None:
    assert len(planned.plan.jobs) > 1
    with store.database.write() as connection:
        ids = connection.execute(select(t.job.c.id).order_by(t.job.c.id)).scalars().all()
        connection.execute(t.job.update().where(t.job.c.id == ids[0]).values(base_job_id=ids[-1]))
    copy(store, goal)
    with goal.database.read() as connection:
        assert connection.execute(select(t.job.c.base_job_id).where(t.job.c.id == ids[0])).scalar() == ids[-1]


def test_nothing_is_copied_while_a_run_has_a_device(store: Store, goal: Store, planned: Planned) -> None:
    assert planned.measures
    device = sample_device()
    request = LeaseRequest("ann@ws1", "pid 1", "run", None, 60.0)
    granted = store.leases.request_leases([device], request)[device.name]
    assert isinstance(granted, Granted)
    with pytest.raises(ConfigError, match=r"pi-03: run run of ann@ws1 has the device now"):
        copy(store, goal)
    assert not any(rows_of(goal).values())
    store.leases.end_leases([granted.lease.id])
    copy(store, goal)


def test_a_row_that_arrives_otherwise_leaves_nothing_behind(
    store: Store, goal: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_snapshot(store, sample_device())
    plain = insert_stream

    def lose_one(connection: Any, table: Any, rows: Any, at_once: int) -> None:
        found = list(rows)
        plain(connection, table, iter(found[1:] if table.name == "device_snapshot" else found), at_once)

    monkeypatch.setattr(copying, "insert_stream", lose_one)
    with pytest.raises(StoreError, match=r"device_snapshot: 0 rows arrived of 1"):
        copy(store, goal)
    assert not any(rows_of(goal).values())


def test_a_damaged_original_is_the_one_that_is_told(
    sqlite_databases: SqliteDatabases, goal: Store, tmp_path: Path
) -> None:
    file = tmp_path / "damaged.db"
    sqlite_databases.copy_to(file)
    with open_store(str(file)) as filled:
        for hours in range(200):
            save(filled, sample_device(), Facts(FACTS), STARTED_AT + timedelta(hours=hours))
    with closing(sqlite3.connect(file)) as connection:
        rows = "SELECT pageno FROM dbstat WHERE name = 'device_snapshot' AND pagetype = 'leaf'"
        pages = [number for (number,) in connection.execute(rows)]
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as stream:
        stream.seek((pages[-1] - 1) * page_bytes)
        stream.write(b"\xff" * page_bytes)
    with open_store(str(file)) as damaged, pytest.raises(StoreError, match=r"damaged\.db: the file is damaged"):
        copy(damaged, goal)
    assert not any(rows_of(goal).values())


def test_a_database_with_rows_is_refused_and_left_alone(goals: Databases, tmp_path: Path) -> None:
    url = goals.migrated()
    with open_store(url) as filled:
        save_snapshot(filled, sample_device())
    with closing(Database(parse_url(url))) as database, pytest.raises(ConfigError, match="rows in device, device_snap"):
        copying.refuse_rows(database)
