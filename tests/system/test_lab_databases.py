"""A day of a lab on databases as labs have them: by a pooler, in SQL_ASCII, in a file that one may only read."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.disks import make_read_only, mounted
from tests.lab import Lab
from tests.servers.errors import ServerUnavailable
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.system

LETTERS = "# größe → モデル\n"
READING = (
    ("runs", "list"),
    ("runs", "show", "last"),
    ("compare", "last", "--by", "threads", "--base", "1"),
    ("history", "device=board"),
    ("devices", "list"),
    ("db", "current"),
    ("report", "last", "--markdown", "report.md"),
    ("sql", "SELECT count(*) FROM run"),
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.move_to_own_machine()
    made.add_local("board", state_dir=str(made.state_dir("board")))
    asked = {"OMP_PROC_BIND": "close", "HTTPS_PROXY": None}
    sweep = made.write_exec_sweep(trials=2, matrix={"threads": [1, 2]}, environment=asked)
    sweep.write_text(LETTERS + sweep.read_text())
    return made


@contextmanager
def database(kind: str, server: PostgresServer) -> Iterator[str]:
    if kind == "ascii":
        yield server.create_database("day_in_ascii", encoding="SQL_ASCII")
        return
    try:
        with PgBouncer(server) as pooler:
            yield pooler.url(server.create_database("day_by_pooler"))
    except ServerUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["ascii", "pooler"])
def test_a_day_on_postgresql_as_labs_have_it(lab: Lab, postgres_server: PostgresServer, kind: str) -> None:
    with database(kind, postgres_server) as url:
        login = {"BENCHFLEET_DB": url, "OMP_NUM_THREADS": "9", "HTTPS_PROXY": "http://proxy.lab:8080"}
        for words in (("db", "upgrade"), ("run", "sweep.yaml"), *READING[1:3]):
            done = lab.run(*words, environment=login)
            assert done.returncode == 0, (words, done.stderr)
        told = "SELECT DISTINCT conditions_after -> 'environment' AS told FROM attempt"
        found = [json.loads(row["told"]) if isinstance(row["told"], str) else row["told"]
                 for row in json.loads(lab.run("sql", told, "--format", "json", environment=login).stdout)]  # fmt: skip
        assert sorted(one["threads"] for one in found) == [1, 2]
        assert {one["passed"]["HTTPS_PROXY"] for one in found} == {"sha256:8e23d4e6ebbb"}
        assert all("OMP_NUM_THREADS" in one["left_out"] for one in found)
        text = lab.run("sql", "SELECT document FROM sweep", environment=login).stdout
        assert "→ モデル" in text


@pytest.mark.timeout(300)
def test_a_file_on_a_read_only_disk_is_read_by_every_command_that_reads(lab: Lab, tmp_path: Path) -> None:
    assert lab.run("run", "sweep.yaml").returncode == 0
    with mounted(tmp_path / "disk", 32 << 20) as disk:
        shutil.copyfile(lab.database, disk / "lab.db")
        make_read_only(disk)
        at = {"BENCHFLEET_DB": str(disk / "lab.db")}
        for words in READING:
            done = lab.run(*words, environment=at)
            assert done.returncode == 0, (words, done.stderr)
            if words[0] == "compare":
                assert done.stdout == lab.run(*words).stdout
        for words in (("run", "sweep.yaml"), ("runs", "note", "last", "seen")):
            refused = lab.run(*words, environment=at)
            assert refused.returncode == 4
            assert "you may only read this database: its file system is mounted read-only" in refused.stderr
