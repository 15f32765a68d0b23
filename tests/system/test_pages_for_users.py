"""The pages for people who use benchfleet, followed to the letter: every command of a page works in its order.

What a page cannot have here is put in its place: a board is a real sshd on this machine, and a server of PostgreSQL a
real one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.domain.device import USUAL_LIMITS
from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.servers.postgres import PostgresServer
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(900)]

LAB = "postgresql://lab@db.example/"


def page(name: str) -> str:
    return (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")


def commands(name: str) -> list[list[str]]:
    """Return the words of every command of a page: lines of four blanks outside of blocks."""
    outside = re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (\S.*)$", outside, re.MULTILINE)]


def parsed(text: str) -> Any:
    """Return a page's YAML. `on` and `off` are words here, as an inventory has them."""
    return yaml.safe_load(re.sub(r"\b(on|off):", r'"\1":', text))


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


class Reader:
    """Follows a page. `init` and `cd` lead into the lab, where `prepare` puts in place what the page cannot have."""

    def __init__(self, folder: Path) -> None:
        self._outer = Lab(folder)
        self.lab = Lab(folder / "lab")

    def follow(self, name: str) -> int:
        """Execute the commands of a page, and return their number."""
        asked = commands(name)
        for words in asked:
            if words[0] == "cd":
                assert (self.lab.directory / "sweeps").is_dir()
                self.prepare()
                continue
            assert words[0] == "benchfleet", words
            where = self._outer if words[1] == "init" else self.lab
            done = where.run(*self.changed(words[1:]), timeout_s=600)
            assert done.returncode == ExitCode.FINE, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr
        return len(asked)

    def changed(self, words: list[str]) -> list[str]:
        """Return the words of a command, with the yes of a person."""
        return [*words, "--yes"] if words[:2] == ["devices", "enroll"] else words

    def prepare(self) -> None:
        """Make the sweep short: the pages are about commands."""
        sweep = self.lab.directory / "sweeps" / "quickstart.yaml"
        text = sweep.read_text()
        for key, value in (("variants", "[fp32, int8]"), ("runtimes", "[ai-edge-litert==2.3.0]"), ("trials", "3")):
            text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        sweep.write_text(text)
        self.lab.allow_other_load("inventory/local.yaml")
        local = self.lab.directory / "inventory" / "local.yaml"
        local.write_text(local.read_text().replace("{transport: local,", "{transport: local, exclusive: false,"))


class BoardReader(Reader):
    """Follows a page with boards, each of which is a real sshd."""

    def __init__(self, folder: Path, server: SshServer) -> None:
        super().__init__(folder)
        self._server = server

    def declare(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        """Return the devices of a page at addresses that are there. All else stays as the page has it."""
        server = self._server
        found = {}
        for name, device in declared.items():
            if device.get("transport") == "local":
                continue
            reach = {"host": server.host, "port": server.port, "user": server.user}
            kept = {key: value for key, value in device.items() if key not in ("host", "user")}
            own = {"identity_file": str(server.identity_file), "python": sys.executable}
            played = {"state_dir": str(self.lab.state_dir(name)), "exclusive": False}
            limits = {"limits": {**dict.fromkeys(USUAL_LIMITS), **device.get("limits", {})}}
            found[name] = {**kept, **reach, **own, **({} if device.get("disabled") else played | limits)}
        return found

    def write(self, file: str, document: Mapping[str, Any]) -> None:
        """Write an inventory file of a page."""
        self.lab.write(f"inventory/{file}", json.dumps(document))


def test_the_first_board(tmp_path: Path, ssh_server: SshServer) -> None:
    class FirstReader(BoardReader):
        def prepare(self) -> None:
            super().prepare()
            (declared,) = blocks("first-board", "yaml")
            devices = parsed(declared)["devices"]
            shipped = yaml.safe_load((REPOSITORY / "inventory" / "local.yaml").read_text())["devices"]
            assert devices["local"] == shipped["local"], "the page goes on from what init writes"
            self.write("board.yaml", {"devices": self.declare(devices)})
            shutil.copy(REPOSITORY / "models" / "digits" / "digits-fp32.tflite", self.lab.directory / "face.tflite")

    reader = FirstReader(tmp_path, ssh_server)
    assert reader.follow("first-board") > 12
    assert {row["device"] for row in reader.lab.rows("SELECT DISTINCT device FROM v_cell")} == {"local", "pi-03"}


def test_the_queue(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.follow("queue") > 12
    (row,) = reader.lab.rows("SELECT name, note FROM run")
    assert row == {"name": "heat-sink", "note": "with the new heat sink"}


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
    # Two pages that ask for a run, and for nothing else.
    assert reader.follow("metrics") + reader.follow("export") == 4


def test_postgresql_and_operations(tmp_path: Path, postgres_server: PostgresServer) -> None:
    server = postgres_server.create_database("benchfleet_page").replace("+psycopg", "").rsplit("/", 1)[0] + "/"
    lab = Lab(tmp_path)
    lab.add_local("local")
    assert lab.run("run", str(lab.write_exec_sweep()), timeout_s=200).returncode == ExitCode.FINE
    (tmp_path / "before.db").write_bytes(b"")
    asked = commands("postgresql")
    assert len(asked) > 10
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    environment = {**os.environ, "PATH": os.pathsep.join([*map(str, programs[-1:]), os.environ["PATH"]])}
    for words in asked:
        # The page's database is made by a superuser's SQL. Its name is free for the first command.
        there = [word.replace(LAB + "benchfleet", server + "benchfleet_page").replace(LAB, server) for word in words]
        if words[0] != "benchfleet":
            done = subprocess.run(there, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        else:
            if words[1:3] == ["db", "copy"] and words[3].startswith(LAB):
                # `db upgrade` made tables there, and no rows.
                assert lab.json("sql", "SELECT id FROM run", "--db", there[3]) == []
            done = lab.run(*there[1:], timeout_s=200)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "backup.db").exists()
    values = "SELECT * FROM v_history ORDER BY attempt_id, metric"
    assert lab.json("sql", values, "--db", "home.db") == lab.json("sql", values, "--db", "benchfleet.db") != []


def test_every_sql_of_the_server_is_understood(postgres_server: PostgresServer) -> None:
    import psycopg

    (statements,) = blocks("postgresql", "sql")
    with psycopg.connect(postgres_server.url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in re.sub(r"^--.*$", "", statements, flags=re.MULTILINE).split(";"):
            if statement.strip():
                connection.execute(statement.encode())
        connection.execute("DROP DATABASE benchfleet")
        connection.execute("DROP ROLE lab, lab_reader")


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
