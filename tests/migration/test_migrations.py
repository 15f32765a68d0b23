"""Migrations make exactly the schema of the tables, go back again, and are safe when several processes run them."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Table, inspect, text

from orchestrator.domain.errors import StoreError
from orchestrator.domain.facts import Facts
from orchestrator.store.schema import migrations
from orchestrator.store.schema.partial_indexes import metadata
from orchestrator.store.schema.views import VIEWS
from orchestrator.store.sql.column_types import Json, UtcTime
from orchestrator.store.sql.engine import Database, parse_url
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import (
    FACTS,
    PROGRAM,
    STARTED_AT,
    WORKER_SHA256,
    sample_device,
    sample_header,
    sample_model,
    sample_plan,
    sample_sweep,
    save_plan,
    save_snapshot,
)
from tests.databases import Databases
from tests.histories import store_random_history

OPEN = "import sys; from orchestrator.store.store import open_store; open_store(sys.argv[1], upgrade=True).close()"


def views_of(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(inspect(connection).get_view_names())


def tables_of(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(inspect(connection).get_table_names())


def test_the_code_names_the_newest_revision() -> None:
    assert migrations.known_revisions()[0] == migrations.HEAD


def test_every_present_view_has_its_file() -> None:
    folder = migrations.migrations_directory() / "views"
    for view in VIEWS:
        text_ = (folder / f"{view.name}.{view.version}.sql").read_text(encoding="utf-8")
        assert text_.startswith(f"CREATE VIEW {view.name} AS\n")


def test_up_makes_the_schema_of_the_tables(databases: Databases) -> None:
    with open_store(databases.empty(), upgrade=True) as store:
        with store.database.read() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
        assert views_of(store.database) == sorted(view.name for view in VIEWS)


def test_down_leaves_nothing(databases: Databases) -> None:
    database = Database(parse_url(databases.empty()))
    migrations.migrate(database, migrations.HEAD)
    migrations.downgrade(database, "base")
    assert tables_of(database) == ["alembic_version"]
    assert views_of(database) == []
    migrations.migrate(database, migrations.HEAD)
    assert views_of(database) == sorted(view.name for view in VIEWS)
    database.close()


@pytest.mark.parametrize("seed", range(2))
def test_an_old_database_gets_the_series_and_values_that_its_records_would_have_made(
    databases: Databases, seed: int
) -> None:
    with open_store(databases.migrated()) as store:
        store_random_history(store, seed)
        stored = cells_of(store.database)
        migrations.downgrade(store.database, "0006")
        assert "cell_value" not in tables_of(store.database)
        migrations.migrate(store.database, migrations.HEAD)
        assert cells_of(store.database) == stored
    assert min(map(len, stored)) > 20


def test_jobs_whose_settings_a_database_makes_equal_keep_series_of_their_own(databases: Databases) -> None:
    """Older releases took such sweeps. Their jobs are compared with each other in no view."""
    model = sample_model()
    matrix = {"n": (0.0, -0.0, 1e16, 10**16, 1e23, 10**23)}
    # Programs take any setting.
    other = replace(PROGRAM, label="exec/other", name="other")
    sweep = sample_sweep(variants=("fp32", "int8"), runtimes=(PROGRAM, other), matrix=matrix)
    plan = sample_plan(sample_device(), sweep, model)
    with open_store(databases.migrated()) as store:
        for run in ("run-1", "run-2"):
            store.runs.create_run(sample_header(run, sweep, model), model, [sample_device()])
            snapshot = save_snapshot(store, sample_device(), Facts(FACTS), STARTED_AT)
            save_plan(store, run, plan, snapshot, WORKER_SHA256)
        stored = cells_of(store.database)
        migrations.downgrade(store.database, "0006")
        migrations.migrate(store.database, migrations.HEAD)
        assert cells_of(store.database) == stored
    assert len(stored[0]) == len(plan.jobs) == 24
    assert len(stored[1]) == 48


def cells_of(database: Database) -> list[list[str]]:
    """Return the rows of series, of their jobs, of cell values and of latest values, without generated ids."""
    series = "series.device_id, series.model_id, series.variant, series.runtime, series.settings, series.setup_sha256"
    first = "first.variant, first.runtime, first.settings"
    statements = (
        f"SELECT {series} FROM series",
        (
            f"SELECT job.id, {series}, {first} FROM job JOIN series ON series.id = job.series_id "
            "JOIN series AS first ON first.id = job.first_series_id"
        ),
        "SELECT id, parent_job_id, base_job_id, first_job_id FROM job",
        "SELECT * FROM cell_value",
        (
            f"SELECT {series}, kind, metric, job_id, run_id, run_started_at FROM latest_value "
            "JOIN series ON series.id = latest_value.series_id"
        ),
    )
    with database.read() as connection:
        return [sorted(map(repr, connection.execute(text(statement)))) for statement in statements]


def test_a_counted_attempt_is_unique(databases: Databases) -> None:
    with open_store(databases.migrated()) as store, store.database.read() as connection:
        (index,) = [one for one in inspect(connection).get_indexes("attempt") if one["name"] == "uq_attempt_counted"]
        assert index["unique"]
        assert any("counted" in str(value) for value in index["dialect_options"].values())


def test_opening_twice_does_not_migrate_twice(databases: Databases) -> None:
    url = databases.empty()
    open_store(url, upgrade=True).close()
    open_store(url).close()


def test_without_leave_nothing_is_made(databases: Databases) -> None:
    url = databases.empty()
    if databases.kind == "sqlite":
        Path(url.removeprefix("sqlite:///")).touch()
    with pytest.raises(StoreError, match="has no tables of benchfleet") as raised:
        open_store(url, upgrade=False)
    assert raised.value.hint == "run: benchfleet db upgrade"
    database = Database(parse_url(url))
    assert tables_of(database) == []
    database.close()


def test_sqlite_is_upgraded_by_itself_and_postgresql_is_not(databases: Databases) -> None:
    url = databases.empty()
    if databases.kind == "sqlite":
        open_store(url).close()
    else:
        with pytest.raises(StoreError, match="no tables"):
            open_store(url)


@pytest.mark.parametrize("upgrade", [True, False])
def test_a_newer_database_is_refused_and_left_alone(databases: Databases, upgrade: bool) -> None:
    url = databases.migrated()
    database = Database(parse_url(url))
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'b7c3'"))
    before = tables_of(database)
    database.close()
    with pytest.raises(StoreError, match="schema b7c3, which this program does not know") as raised:
        open_store(url, upgrade=upgrade)
    assert "upgrade benchfleet" in str(raised.value.hint)
    database = Database(parse_url(url))
    assert tables_of(database) == before
    database.close()


def test_processes_that_open_a_new_database_at_once_share_it(databases: Databases) -> None:
    url = databases.empty()
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stderr=subprocess.PIPE, text=True) for _ in range(5)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    with open_store(url) as store:
        assert store.runs.find_run("last") is None


def test_the_next_migration_has_what_the_tables_have_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "migrations"
    shutil.copytree(migrations.migrations_directory(), copy)
    monkeypatch.setattr(migrations, "migrations_directory", lambda: copy)
    mood = Table("mood", metadata, Column("at", UtcTime(), primary_key=True), Column("why", Json()))
    try:
        written = migrations.new_revision("keep moods").read_text()
    finally:
        metadata.remove(mood)
    assert f'down_revision = "{migrations.HEAD}"' in written.replace("'", '"')
    assert "sa.Column('at', UtcTime(), nullable=False)" in written
    assert "sa.Column('why', Json(), nullable=True)" in written
    assert written.count("op.create_table") == written.count("op.drop_table") == 1


def test_an_upgrade_that_is_cut_short_leaves_nothing_behind(databases: Databases) -> None:
    def cut_short() -> None:
        with migrations._exclusive(database) as connection:
            command.upgrade(migrations._config(connection), migrations.HEAD)
            raise RuntimeError("power cut")

    database = Database(parse_url(databases.empty()))
    with pytest.raises(RuntimeError, match="power cut"):
        cut_short()
    assert tables_of(database) == []
    database.close()
