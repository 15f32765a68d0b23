"""Many connections in one process cost next to nothing while nothing happens."""

import resource
import threading
import time
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import LinkLost
from orchestrator.transport.base import Stream
from orchestrator.transport.ssh import SshConnector
from tests.servers.sshd import SshServer

pytestmark = pytest.mark.system

CONNECTIONS = 50
IDLE_S = 4.0
CPU_S_MAX = 0.4
"""Ten times what was measured; a connection that polls ten times a second costs more than that already."""


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def test_idle_connections_with_waiting_readers_cost_no_cpu(ssh_server: SshServer, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(ssh_server.known_hosts_line + "\n")
    connector = SshConnector(known_hosts)
    device = Device(
        "pi",
        TransportKind.SSH,
        ssh_server.host,
        ssh_server.port,
        ssh_server.user,
        identity_file=str(ssh_server.identity_file),
    )
    transports = [connector.connect(device) for _ in range(CONNECTIONS)]
    streams = [transport.stream(["cat"]) for transport in transports]
    waiting = threading.Barrier(CONNECTIONS + 1)

    def wait(stream: Stream) -> None:
        waiting.wait()
        with pytest.raises(LinkLost):
            stream.read(1, 120)

    readers = [threading.Thread(target=wait, args=(stream,)) for stream in streams]
    for reader in readers:
        reader.start()
    waiting.wait()

    before = cpu_s()
    time.sleep(IDLE_S)  # what is measured is doing nothing
    spent = cpu_s() - before
    for transport in transports:
        transport.close()
    for reader in readers:
        reader.join(10)

    assert not any(reader.is_alive() for reader in readers)
    assert spent < CPU_S_MAX
