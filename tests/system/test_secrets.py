"""Secrets stay where they were given: not in the database, on a device, in a log, an error or a process list."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.lab import OK_PROGRAM, Lab
from tests.servers import processes
from tests.servers.postgres import PostgresServer
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

PASSPHRASE = "hush-passphrase-5d1e"
VARIABLES = {"LAB_API_TOKEN": "hush-token-77c0", "AWS_SECRET_ACCESS_KEY": "hush-aws-91fa"}


@pytest.fixture
def lab(tmp_path: Path, ssh_server: SshServer) -> Lab:
    made = Lab(tmp_path)
    made.trust(ssh_server)
    return made


@pytest.fixture
def agent(tmp_path: Path, ssh_server: SshServer) -> Iterator[str]:
    """A real ssh-agent that holds the server's key, of which the lab has only a copy locked by a passphrase."""
    address = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL)
    try:
        processes.wait_until(address.exists, "the agent listens")
        add = ["ssh-add", "-q", str(ssh_server.identity_file)]
        subprocess.run(add, check=True, env={**os.environ, "SSH_AUTH_SOCK": str(address)}, timeout=30)
        yield str(address)
    finally:
        process.kill()
        process.wait()


def test_no_secret_is_anywhere(lab: Lab, ssh_server: SshServer, postgres_server: PostgresServer, agent: str) -> None:
    locked = lab.directory / "locked_key"
    locked.write_bytes(ssh_server.identity_file.read_bytes())
    locked.with_suffix(".pub").write_bytes(ssh_server.identity_file.with_suffix(".pub").read_bytes())
    locked.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", str(locked)], check=True, timeout=30)
    lab.add_ssh("pi-01", ssh_server, identity_file=str(locked))
    url = postgres_server.create_database("secrets")
    secrets = [str(urlsplit(url).password), PASSPHRASE, *VARIABLES.values()]
    assert all(len(secret) > 10 for secret in secrets)
    settings = {"BENCHFLEET_DB": url, "BENCHFLEET_LOG_LEVEL": "debug", "SSH_AUTH_SOCK": agent, **VARIABLES}
    gate = lab.directory / "gate"
    program = f"until [ -e '{gate}' ]; do sleep 0.1; done\n{OK_PROGRAM}"
    sweep = lab.write_exec_sweep(program, trials=2)

    upgraded = lab.run("db", "upgrade", environment=settings)
    assert upgraded.returncode == 0, upgraded.stderr
    output = lab.directory / "output"
    with output.open("wb") as file:
        run = subprocess.Popen(
            lab.argv("run", str(sweep)),
            cwd=lab.directory,
            env={**lab.environment, **settings},
            stdout=file,
            stderr=file,
        )
        processes.wait_until(lambda: b"follow" in output.read_bytes(), "the run is followed", 180)
        seen = command_lines()
        assert any(b"orchestrator" in line for line in seen.values())
        gate.touch()
        assert run.wait(180) == 0, output.read_text()

    said = [output.read_bytes(), upgraded.stdout.encode() + upgraded.stderr.encode()]
    for arguments in (["runs", "show", "last", "--json"], ["devices", "list", "--json"], ["db", "current"]):
        done = lab.run(*arguments, environment=settings)
        said.append((done.stdout + done.stderr).encode())
    own = [line for pid, line in seen.items() if pid != os.getpid()]
    for secret in secrets:
        word = secret.encode()
        assert [line for line in own if word in line] == []
        assert [text for text in said if word in text] == []
        assert word not in dumped(url)
        assert files_with(word, lab.state_dir("pi-01")) == []
        assert files_with(word, lab.directory) == []


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_database_that_cannot_be_reached_shows_no_password(lab: Lab, debug: str) -> None:
    for url in (
        "postgresql://ada:hush-db-4242@127.0.0.1:1/lab",
        "postgresql://ada@127.0.0.1:1/lab?password=hush-db-4242",
        "postgresql://ada:hush-db-4242@127.0.0.1:port/lab",
        "mysql://ada:hush-db-4242@127.0.0.1/lab",
        "host=127.0.0.1 password=hush-db-4242 dbname=lab",
        "postgresql:/ada:hush-db-4242@127.0.0.1/lab",
        "ada:hush-db-4242@127.0.0.1/lab",
        "postgresql://ada@127.0.0.1:1/lab?sslpassword=hush-db-4242",
    ):
        done = lab.run("runs", "show", "last", environment={"BENCHFLEET_DB": url, "BENCHFLEET_DEBUG": debug})
        assert done.returncode in (2, 4), done.stderr
        assert "hush" not in done.stdout + done.stderr
    assert not [path for path in lab.directory.rglob("*") if "hush" in path.name or "ada" in path.name]


def test_a_password_in_the_inventory_is_refused_without_being_shown(lab: Lab) -> None:
    lab.write("inventory/lab.yaml", "devices:\n  pi-01: {host: 10.0.0.1, password: hush-device-1}\n")
    done = lab.run("devices", "list")
    assert done.returncode == 2
    assert "no secret belongs in an inventory" in done.stderr
    assert "hush" not in done.stdout + done.stderr


def command_lines() -> dict[int, bytes]:
    """Return the arguments of every process of this machine."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
            except OSError:
                continue
    return found


def dumped(url: str) -> bytes:
    """Return every row of every table, as PostgreSQL writes it."""
    import psycopg
    from psycopg import sql

    rows = b""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert len(names) > 10
        for (name,) in names:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as copy:
                rows += b"".join(bytes(piece) for piece in copy)
    assert b"pi-01" in rows
    return rows


def files_with(word: bytes, folder: Path) -> list[str]:
    """Return the files that hold a word, but for the agent's socket and the like."""
    assert folder.is_dir()
    return [str(path) for path in folder.rglob("*") if path.is_file() and word in path.read_bytes()]


def test_the_fixture_would_notice(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x hush y")
    assert files_with(b"hush", tmp_path) == [str(tmp_path / "a")]
    child = subprocess.Popen([sys.executable, "-c", "input()", "hush-argument"], stdin=subprocess.PIPE)
    try:
        # a program has no command line yet in the moment that it is loaded
        processes.wait_until(lambda: b"hush-argument" in command_lines().get(child.pid, b""), "it is seen")
    finally:
        child.communicate(b"\n", timeout=30)
