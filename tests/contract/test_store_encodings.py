"""Databases whose encoding is not UTF-8: what fits is the same, and what does not is told."""

from contextlib import closing

import pytest

from orchestrator.domain.errors import ConfigError, StoreError
from orchestrator.store.console.readonly import open_console
from orchestrator.store.schema import tables
from orchestrator.store.sql.bulk import insert_rows
from orchestrator.store.store import Store, open_store
from orchestrator.testing.event_logs import STARTED_AT, sample_device, sample_header, sample_model, sample_sweep
from tests.databases import PostgresDatabases
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.system  # a server of its own kind, and no part of the quick loop

ARROW = "# größe → 大きさ\n"


def create_run(store: Store, note: str) -> None:
    model, sweep = sample_model(), sample_sweep()
    store.runs.create_run(sample_header("run", sweep, model), model, [sample_device()])
    store.words.write_note("run", note, "ann@lab")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "UTF8"])
def test_texts_of_any_language_are_kept_whole(postgres_server: PostgresServer, encoding: str) -> None:
    url = postgres_server.create_database(f"any_{encoding.lower()}", encoding=encoding)
    with open_store(url, upgrade=True) as store:
        create_run(store, ARROW)
        assert store.runs.find_run("run").words.note == ARROW  # type: ignore[union-attr]
        with store.database.write() as connection:
            row = {"run_id": "run", "key": "größe", "value": "→", "set_by": "ann@lab", "set_at": STARTED_AT}
            insert_rows(connection, tables.run_tag, [row])
    with closing(open_console(url)) as console:
        assert list(console.query("SELECT note FROM run")[1]) == [(ARROW,)]
        assert list(console.query("SELECT value FROM run_tag WHERE key = $1", values=["größe"])[1]) == [("→",)]


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1251", "EUC_JP", "LATIN9"])
def test_a_new_database_that_lacks_letters_is_refused_with_the_way_out(
    postgres_server: PostgresServer, encoding: str
) -> None:
    url = postgres_server.create_database(f"new_{encoding.lower()}", encoding=encoding)
    with pytest.raises(StoreError, match=f"has the encoding {encoding}") as raised:
        open_store(url, upgrade=True)
    assert "createdb -E UTF8 -T template0" in str(raised.value.hint)


def test_a_latin1_database_of_old_keeps_what_it_can_and_names_what_it_cannot(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.create_database("old_latin1", encoding="LATIN1")
    with monkeypatch.context() as earlier:  # as releases before made it
        earlier.setattr("orchestrator.store.schema.migrations._refuse_encoding", lambda *_: None)
        open_store(url, upgrade=True).close()
    with open_store(url) as store:
        create_run(store, "größe")
        assert store.runs.find_run("run").words.note == "größe"  # type: ignore[union-attr]
        for write in (_write_note, _insert_tag):
            with pytest.raises(StoreError, match="has a letter that the encoding of the database lacks") as raised:
                write(store, ARROW)
            assert "pg_dump" in str(raised.value.hint)
        assert store.runs.find_run("run").words.note == "größe"  # type: ignore[union-attr]
    with closing(open_console(url)) as console:
        assert list(console.query("SELECT note FROM run WHERE note LIKE 'gr%'")[1]) == [("größe",)]
        with pytest.raises(ConfigError):
            console.query("SELECT '→'")


def _write_note(store: Store, text: str) -> None:
    store.words.write_note("run", text, "ann@lab")


def _insert_tag(store: Store, value: str) -> None:
    with store.database.write() as connection:
        row = {"run_id": "run", "key": "k", "value": value, "set_by": "ann@lab", "set_at": STARTED_AT}
        insert_rows(connection, tables.run_tag, [row])


def test_bytes_of_other_programs_are_told_and_not_taken_for_a_defect(postgres_server: PostgresServer) -> None:
    import psycopg

    url = postgres_server.create_database("foreign_bytes", encoding="SQL_ASCII")
    with open_store(url, upgrade=True) as store:
        create_run(store, "plain")
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(r"UPDATE run SET note = E'gr\xf6\xdfe'")
    with open_store(url) as store, pytest.raises(StoreError, match="not UTF-8: another program"):
        store.runs.find_run("run")
    with closing(open_console(url)) as console:
        with pytest.raises(StoreError, match="not UTF-8: another program") as raised:
            list(console.query("SELECT note FROM run")[1])
        assert "convert_to" in str(raised.value.hint)
        assert list(console.query("SELECT convert_to(note, 'SQL_ASCII') FROM run")[1]) == [(b"gr\xf6\xdfe",)]


def test_a_name_without_letters_is_told_by_both_kinds(store: Store) -> None:
    model, sweep = sample_model(), sample_sweep()
    store.runs.create_run(sample_header("run", sweep, model), model, [sample_device()])
    name = b"sw\xf6.yaml".decode("utf-8", "surrogateescape")
    with pytest.raises(StoreError, match="bytes that are not UTF-8"), store.database.write() as connection:
        connection.execute(tables.run.update().values(note=name))
    with pytest.raises(StoreError, match="bytes that are not UTF-8"):
        _insert_tag(store, name)
    assert store.runs.find_run("run").words.note is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "setting",
    [
        "client_encoding = 'LATIN1'",
        "datestyle = 'German, DMY'",
        "extra_float_digits = 0",
        "bytea_output = 'escape'",
        "default_transaction_isolation = 'serializable'",
        "standard_conforming_strings = off",
        "timezone = 'Asia/Tokyo'",
    ],
)
def test_what_a_role_sets_changes_no_value(postgres_databases: PostgresDatabases, setting: str) -> None:
    import psycopg

    server, url = postgres_databases.server, postgres_databases.migrated()
    name = f"role_{abs(hash(setting))}"
    database = url.rsplit("/", 1)[1]
    role_url = server.create_role(name, setting, database=database)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
    with open_store(role_url) as store:
        create_run(store, ARROW)
        found = store.runs.find_run("run")
        assert found is not None
        assert (found.words.note, found.header.started_at) == (ARROW, STARTED_AT)
        with store.database.read() as connection:
            assert connection.exec_driver_sql("SELECT 0.1::float8 + 0.2::float8").scalar_one() == 0.1 + 0.2
            assert connection.exec_driver_sql(r"SELECT '\x00ff'::bytea").scalar_one() == b"\x00\xff"
    with closing(open_console(role_url)) as console:
        (row,) = console.query(r"SELECT started_at, note, 0.1::float8 + 0.2::float8, length('a\b') FROM run")[1]
        assert row == (STARTED_AT, ARROW, 0.1 + 0.2, 3)
