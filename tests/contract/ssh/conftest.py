"""Homes, servers and connectors for what only SSH can do and suffer: all of it against real servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.transport.ssh import SshConnector
from tests.contract.ssh.reaching import SHORT_S, StartServer
from tests.servers.errors import ServerUnavailable
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
