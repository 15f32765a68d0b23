"""The pages for people who use benchfleet, followed to the letter: every command of a page works in its order.

What a page cannot have here is put in its place: a board is a real sshd on this machine, and a server of PostgreSQL a
real one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.servers.postgres import PostgresServer
from tests.servers.sshd import SshServer
from tests.system import pages_about_results
from tests.system.readers import BoardReader, Reader, blocks, commands, parsed

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(900)]

MACRO_F1 = """\
def metric(outputs, labels):
    found = outputs.argmax(1)
    both = [(found == one, labels == one) for one in set(labels.tolist())]
    return float(sum(2 * (there & so).sum() / (there.sum() + so.sum()) for there, so in both) / len(both))
"""


@pytest.fixture(scope="module")
def first_board(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> BoardReader:
    """Follow the page of the first board. Its lab has two devices, and runs."""

    class FirstReader(BoardReader):
        def prepare(self) -> None:
            super().prepare()
            (declared,) = blocks("first-board", "yaml")
            devices = parsed(declared)["devices"]
            shipped = yaml.safe_load((REPOSITORY / "inventory" / "local.yaml").read_text())["devices"]
            assert devices["local"] == shipped["local"], "the page goes on from what init writes"
            self.write("board.yaml", {"devices": self.declare(devices)})
            shutil.copy(REPOSITORY / "models" / "digits" / "digits-fp32.tflite", self.lab.directory / "face.tflite")

    reader = FirstReader(tmp_path_factory.mktemp("first-board"), ssh_server)
    assert reader.follow("first-board") > 12
    return reader


def test_the_first_board(first_board: BoardReader) -> None:
    devices = {row["device"] for row in first_board.lab.rows("SELECT DISTINCT device FROM v_cell")}
    assert devices == {"local", "pi-03"}


def test_the_readme_and_the_pages_about_results(first_board: BoardReader) -> None:
    lab = first_board.lab
    sweep = lab.write(
        "sweeps/quickstart.yaml",
        pages_about_results.profiled((lab.directory / "sweeps" / "quickstart.yaml").read_text()),
    )
    assert pages_about_results.follow(lab, "../README") > 30
    assert "<testsuite" in (lab.directory / "compare.xml").read_text()
    (lab.directory / "int8").rename(lab.directory / "int8-of-readme")
    assert pages_about_results.follow(lab, "replay") == 3
    outputs = sweep.read_text().replace("metric: top1", "metric: outputs").replace("../models", "models")
    lab.write("sweep.yaml", outputs.replace("trials: 2", "trials: 1").replace("profile: operators\n", ""))
    lab.write("macro_f1.py", MACRO_F1)
    assert pages_about_results.follow(lab, "measuring") == 6
    assert pages_about_results.follow(lab, "serve") == 0, "the one that can be is the README's"


def test_the_queue(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.follow("queue") > 12
    (row,) = reader.lab.rows("SELECT name, note FROM run")
    assert row == {"name": "heat-sink", "note": "with the new heat sink"}
    (tmp_path / "again").mkdir()
    assert Reader(tmp_path / "again").follow("schedule") > 8


def test_operations(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.follow("operations") > 14
    assert (reader.lab.directory / "backup.db").stat().st_size > 100_000
    assert reader.lab.rows("SELECT id FROM run") == []
    (deleted,) = reader.lab.rows("SELECT name, deleted_by FROM deleted_run")
    assert deleted["name"] == "before"
    assert "@" in deleted["deleted_by"]


def test_a_shelf_of_boards(tmp_path: Path, ssh_server: SshServer) -> None:
    class ShelfReader(BoardReader):
        def prepare(self) -> None:
            super().prepare()
            (inventory, cell) = blocks("shelf", "yaml")
            document = parsed(inventory)
            self.write("shelf.yaml", {"devices": self.declare(document["devices"])})
            assert yaml.safe_load(cell) == {"matrix": {"cpus": ["3"], "threads": [1]}}
            # The page's own text is an inventory too, and its defaults are no others than those that it explains.
            self.lab.write("asked/shelf.yaml", inventory)
            checked = self.lab.run("devices", "list", "--inventory", "asked/shelf.yaml", "--select", "class=rpi")
            assert checked.returncode == ExitCode.FINE, checked.stderr

    reader = ShelfReader(tmp_path, ssh_server)
    assert reader.follow("shelf") > 14
    assert {row["device"] for row in reader.lab.rows("SELECT DISTINCT device FROM v_cell")} == {"pi-03", "pi-04"}


def test_what_the_numbers_mean(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.follow("numbers") > 10
    assert (reader.lab.directory / "int8.csv").read_text().startswith("run,device,model,variant,")
    # Pages that ask for a run, and for nothing else.
    assert reader.follow("metrics") + reader.follow("export") + reader.follow("sweeps") == 6


@pytest.fixture
def page_server(postgres_server: PostgresServer) -> Iterator[str]:
    """Do what the page's superuser does, and return the address of the server, without a user."""
    import psycopg  # an optional extra

    superuser = postgres_server.url.replace("+psycopg", "")
    (statements,) = blocks("postgresql", "sql")
    with psycopg.connect(superuser, autocommit=True) as connection:
        for statement in re.sub(r"^--.*$", "", statements, flags=re.MULTILINE).split(";"):
            if statement.strip():
                connection.execute(statement.encode())
        yield f"{postgres_server.host}:{postgres_server.port}/"
        connection.execute("DROP DATABASE IF EXISTS restored")
        connection.execute("DROP DATABASE benchfleet")
        connection.execute("DROP ROLE lab, lab_reader")


def test_postgresql_and_operations(tmp_path: Path, page_server: str, postgres_server: PostgresServer) -> None:
    lab = Lab(tmp_path)
    lab.add_local("local")
    assert lab.run("run", str(lab.write_exec_sweep()), timeout_s=200).returncode == ExitCode.FINE
    asked = commands("postgresql")
    assert len(asked) > 10
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([*map(str, programs[-1:]), os.environ["PATH"]])
    # The page's own roles and passwords: what they may not do, a reader may not do.
    lab.home.joinpath(".pgpass").write_text(f"*:*:*:lab:change me\n*:*:*:*:{postgres_server.password}\n")
    lab.home.joinpath(".pgpass").chmod(0o600)
    environment = {**lab.environment, "PATH": path, "PGPASSFILE": str(lab.home / ".pgpass")}
    for words in asked:
        there = [
            word.replace("postgres@db.example/", f"{postgres_server.role}@{page_server}").replace(
                "db.example/", page_server
            )
            for word in words
        ]
        if words[0] != "benchfleet":
            done = subprocess.run(there, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        else:
            if words[1:3] == ["db", "copy"] and words[3].startswith("postgresql:"):
                # `db upgrade` made tables there, and no rows.
                assert lab.json("sql", "SELECT id FROM run", "--db", there[3]) == []
            done = lab.run(*there[1:], timeout_s=200)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "backup.db").exists()
    values = "SELECT * FROM v_history ORDER BY attempt_id, metric"
    assert lab.json("sql", values, "--db", "home.db") == lab.json("sql", values, "--db", "benchfleet.db") != []


def test_the_door_of_the_cookbook_opens(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    (demo, ask) = (words for words in commands("sql-cookbook") if words[0] == "benchfleet")
    # A smaller lab of the same kind: the page's own takes a minute, and its answers are compared elsewhere.
    smaller = [{"36": "3", "12": "3"}.get(word, word) for word in demo[1:]]
    assert lab.run(*smaller, timeout_s=200).returncode == ExitCode.FINE
    *words, arrow, file = ask[1:]
    assert arrow == "<"
    with (REPOSITORY / file).open() as question:
        done = subprocess.run(
            lab.argv(*words),
            cwd=tmp_path,
            env=lab.environment,
            stdin=question,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == ExitCode.FINE, done.stderr
    assert "demo-" in done.stdout
