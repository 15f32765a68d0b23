"""What libpq takes from URL, files and environment: no other server, and a remedy for each refusal."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain.errors import StoreError
from orchestrator.store.store import open_reader, open_store
from tests.servers.errors import ServerUnavailable
from tests.servers.postgres import PostgresServer
from tests.servers.processes import wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="takes openssl, for a certificate"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for `localhost`, its key, and keys that libpq refuses."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost"]
    command += ["-out", str(folder / "own.crt"), "-keyout", str(folder / "own.key")]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copy(folder / "own.key", folder / "open.key")
    (folder / "open.key").chmod(0o644)
    (folder / "bad.key").write_text("nonsense")
    (folder / "bad.key").chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def url(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of a server with TLS."""
    psycopg = pytest.importorskip("psycopg")
    try:
        with PostgresServer(tmp_path_factory.mktemp("server")) as server:
            with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as admin:
                (data,) = admin.execute("SHOW data_directory").fetchone()
                owner = Path(data).stat()
                for name in ("own.crt", "own.key"):
                    target = Path(data) / name.replace("own", "server")
                    shutil.copy(files / name, target)
                    os.chown(target, owner.st_uid, owner.st_gid)
                    target.chmod(0o600)
                admin.execute("ALTER SYSTEM SET ssl = on")
                admin.execute("SELECT pg_reload_conf()")
                wait_until(lambda: admin.execute("SHOW ssl").fetchone() == ("on",), "TLS is on", 20.0)
            made = server.create_database("lab")
            open_store(made, upgrade=True).close()
            yield made
    except ServerUnavailable as error:
        pytest.skip(str(error))


def test_the_environment_leads_to_no_other_server_than_the_url_names(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGHOSTADDR comes before the host of a URL, and everything written would be somewhere else."""
    monkeypatch.setenv("PGHOSTADDR", "127.9.9.9")
    for address in (url, url + "?sslmode=require"):
        open_store(address).close()
        open_reader(address).close()


def test_an_address_of_the_url_itself_counts(url: str) -> None:
    with pytest.raises(StoreError, match="nothing answers there"):
        open_store(url + "?hostaddr=127.9.9.9")


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("sslcert={files}/own.crt&sslkey={files}/open.key", "is open to others", "chmod 600"),
        ("sslcert={files}/own.crt&sslkey=/no/such.key", "key of this client's certificate is missing", "sslkey="),
        ("sslcert={files}/own.crt&sslkey={files}/bad.key", "key of this client's certificate cannot be read", "sslkey"),
        ("sslcert={files}/bad.key&sslkey={files}/own.key", "the certificate of this client cannot be read", "sslcert"),
        ("sslrootcert={files}/own.crt&sslmode=verify-full", "certificate is for another name", "verify-ca"),
        ("sslmod=require", 'invalid connection option "sslmod"', "query of the URL"),
        ("sslmode=yes", 'invalid sslmode value: "yes"', "in the environment"),
        ("sslmode=disable&channel_binding=require", "channel binding is asked for", "PGCHANNELBINDING"),
        ("gssencmode=require", "encryption by GSSAPI is asked for", "PGGSSENCMODE"),
    ],
)
def test_what_libpq_refuses_has_a_remedy_of_its_own(url: str, files: Path, query: str, message: str, hint: str) -> None:
    asked = query.format(files=files)
    with pytest.raises(StoreError) as caught:
        open_store(f"{url}?{'' if 'sslmod' in asked else 'sslmode=require&'}{asked}")
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_certificate_of_the_environment_is_named_as_well(
    url: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLCERT", str(files / "own.crt"))
    monkeypatch.setenv("PGSSLKEY", str(files / "open.key"))
    with pytest.raises(StoreError, match="is open to others") as caught:
        open_store(url + "?sslmode=require")
    assert "PGSSLKEY" in (caught.value.hint or "")


def test_a_session_that_an_administrator_ends_is_not_taken_for_the_end_of_the_server(url: str) -> None:
    import psycopg

    def lose_the_session() -> None:
        with store.database.read() as reader:
            own = reader.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [own])
            reader.exec_driver_sql("SELECT 1").scalar()

    with open_store(url) as store:
        with pytest.raises(StoreError, match="or its administrator ended this session") as caught:
            lose_the_session()
        assert "does it answer again" in (caught.value.hint or "")
        with store.database.read() as reader:
            assert reader.exec_driver_sql("SELECT 1").scalar() == 1, "it does"


def test_a_database_that_takes_no_connections_is_told(url: str) -> None:
    import psycopg

    server = url.replace("+psycopg", "").rpartition("/")[0]
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE closed ALLOW_CONNECTIONS false")
    with pytest.raises(StoreError, match="takes no connections") as caught:
        open_store(f"{server}/closed")
    assert "ALLOW_CONNECTIONS" in (caught.value.hint or "")
