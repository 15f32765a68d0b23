"""Homes, servers and connectors for what only SSH can do and suffer: all of it against real servers."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.transport.ssh import SshConnector
from tests.contract.ssh.reaching import SHORT_S, StartServer, accepts
from tests.servers.errors import ServerUnavailable
from tests.servers.processes import wait_until
from tests.servers.sshd import NO_STARTUP_FILES, SshServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, known hosts, configuration or agent."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of the test's own, to break."""
    servers: list[SshServer] = []

    def start(**options: Any) -> SshServer:
        try:
            server = SshServer(tmp_path / f"sshd-{len(servers)}", environment=NO_STARTUP_FILES, **options)
        except ServerUnavailable as error:
            pytest.skip(str(error))
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connector(tmp_path: Path) -> SshConnector:
    return SshConnector(tmp_path / "lab" / "known_hosts", connect_timeout_s=5.0, end_timeout_s=SHORT_S)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts a real ssh-agent that holds the keys given."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("no ssh-agent found: run scripts/install-system-packages")
    address = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL)

    def hold(*keys: Path) -> None:
        wait_until(lambda: accepts(socket.AF_UNIX, str(address)), "the agent listens")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        subprocess.run(["ssh-add", "-q", *map(str, keys)], check=True, capture_output=True)

    yield hold
    process.terminate()
    process.wait()
