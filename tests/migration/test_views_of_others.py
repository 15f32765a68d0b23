"""An upgrade keeps the views that a lab has built upon ours, or names the one in the way and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import text

from orchestrator.domain.errors import StoreError
from orchestrator.store.schema import migrations
from orchestrator.store.sql.engine import Database, parse_url
from tests.databases import Databases, PostgresDatabases

OLD = "0011"
"""Before v_variant_compare and v_noise got the versions after."""

LAB = """
CREATE ROLE lab_owner;
CREATE ROLE lab_dashboard;
CREATE SCHEMA lab;
GRANT ALL ON SCHEMA lab TO lab_owner;
GRANT SELECT ON v_noise, v_variant_compare TO lab_owner;
CREATE VIEW lab.noisy (board, "The metric") WITH (security_barrier=true)
    AS SELECT device, metric FROM v_noise WHERE metric LIKE 'lat%' AND device <> ':odd';
CREATE VIEW lab."top of all" AS SELECT noisy.*, v_variant_compare.run FROM lab.noisy
    JOIN v_variant_compare ON device = board;
CREATE VIEW lab.unrelated AS SELECT 1 AS one;
COMMENT ON VIEW lab.noisy IS 'what ann''s dashboard shows: 100 %';
COMMENT ON COLUMN lab.noisy."The metric" IS 'its name';
ALTER VIEW lab.noisy OWNER TO lab_owner;
GRANT SELECT ON lab.noisy TO lab_dashboard WITH GRANT OPTION;
GRANT SELECT (board) ON lab."top of all" TO lab_dashboard;
ALTER DEFAULT PRIVILEGES IN SCHEMA lab GRANT SELECT ON TABLES TO PUBLIC;
"""
STATE = """
SELECT relname, pg_get_viewdef(view.oid), pg_get_userbyid(relowner), reloptions, obj_description(view.oid, 'pg_class'),
    ARRAY(SELECT one::text FROM aclexplode(coalesce(relacl, acldefault('r', relowner))) AS one ORDER BY 1),
    ARRAY(
        SELECT format('%s %s %s', attname, attacl, col_description(view.oid, attnum))
        FROM pg_attribute WHERE attrelid = view.oid AND attnum > 0 ORDER BY attnum
    )
FROM pg_class AS view WHERE relnamespace = 'lab'::regnamespace ORDER BY relname
"""


def ask(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        answered = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return [tuple(row) for row in answered]


def tell(database: Database, statements: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


@pytest.fixture
def postgres(postgres_databases: PostgresDatabases) -> Iterator[Database]:
    """A database of the newest schema, in which a lab may build."""
    with closing(Database(parse_url(postgres_databases.migrated()))) as database:
        yield database


@pytest.mark.system
def test_views_of_others_are_the_same_after_an_upgrade(postgres: Database) -> None:
    tell(postgres, LAB)
    before = ask(postgres, STATE)
    assert [row[0] for row in before] == ["noisy", "top of all", "unrelated"]
    kept_oid = ask(postgres, "SELECT 'lab.unrelated'::regclass::oid")
    migrations.downgrade(postgres, OLD)
    assert ask(postgres, STATE) == before
    migrations.migrate(postgres, migrations.HEAD)
    assert ask(postgres, STATE) == before
    assert ask(postgres, 'SELECT * FROM lab."top of all"') == []
    assert ask(postgres, "SELECT 'lab.unrelated'::regclass::oid") == kept_oid, "nobody touches what does not stand here"


@pytest.mark.system
@pytest.mark.parametrize(
    ("built", "name", "shown"),
    [
        ("CREATE MATERIALIZED VIEW kept AS SELECT device FROM v_noise", "public.kept", "CREATE MATERIALIZED VIEW"),
        (
            "CREATE VIEW kept AS SELECT device FROM v_noise;CREATE RULE none AS ON INSERT TO kept DO INSTEAD NOTHING",
            "public.kept",
            "FROM v_noise",
        ),
        (
            "CREATE FUNCTION devices() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM v_noise; END",
            "function devices()",
            "drop what stands there",
        ),
        # There is no such view at the older revision.
        ("CREATE VIEW kept AS SELECT device FROM v_pareto", "public.kept", "FROM v_pareto"),
    ],
    ids=["materialised", "with-a-rule", "function", "unfit"],
)
def test_what_cannot_be_kept_is_named_and_nothing_changes(
    postgres: Database, built: str, name: str, shown: str
) -> None:
    tell(postgres, built)
    with pytest.raises(StoreError) as refused:
        migrations.downgrade(postgres, "0010")
    assert name in str(refused.value)
    assert refused.value.hint is not None
    assert "nothing has changed" in refused.value.hint
    assert shown in refused.value.hint
    with postgres.read() as connection:
        assert migrations.revision(connection) == migrations.HEAD
        assert connection.execute(text("SELECT count(*) FROM v_noise")).scalar() == 0


def test_sqlite_needs_no_help(sqlite_databases: Databases) -> None:
    with closing(Database(parse_url(sqlite_databases.migrated()))) as database:
        tell(database, "CREATE VIEW noisy AS SELECT device FROM v_noise")
        migrations.downgrade(database, OLD)
        migrations.migrate(database, migrations.HEAD)
        assert ask(database, "SELECT * FROM noisy") == []
