"""How a test reaches a real SSH server, and what it says where it cannot."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import DeviceError
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.table import Connectors
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay

TIMEOUT_S = 20.0
SHORT_S = 0.4
StartServer = Callable[..., SshServer]


def device_of(server: SshServer, name: str = "pi-01") -> Device:
    return Device(
        name, TransportKind.SSH, server.host, server.port, server.user, identity_file=str(server.identity_file)
    )


def trust(connector: SshConnector, *servers: SshServer) -> None:
    connector.known_hosts.parent.mkdir(exist_ok=True)
    with connector.known_hosts.open("a") as file:
        file.writelines(server.known_hosts_line + "\n" for server in servers)


def configure(home: Path, text: str) -> None:
    (home / ".ssh" / "config").write_text(text)


def logs_in(connector: SshConnector | Connectors, device: Device) -> bool:
    connector.connect(device).close()
    return True


def says_hello(connector: SshConnector | Connectors, device: Device) -> bool:
    transport = connector.connect(device)
    try:
        return transport.run(["echo", "hello"]).stdout == b"hello\n"
    finally:
        transport.close()


def failure(connector: SshConnector, device: Device) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        connector.connect(device)
    error = caught.value
    assert "\n" not in str(error)
    assert error.hint
    assert "\n" not in error.hint
    return error


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Serve every connection with `answer`, one after the other; yield the port."""

    def serve() -> None:
        while True:
            client, _ = server.accept()
            with client:
                if over.is_set():
                    return
                answer(client)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", port), TIMEOUT_S).close()
            thread.join(TIMEOUT_S)


def configure_relay(connector: SshConnector, server: SshServer, relay: TcpRelay) -> None:
    line = server.known_hosts_line.replace(f":{server.port} ", f":{relay.port} ")
    connector.known_hosts.parent.mkdir(exist_ok=True)
    with connector.known_hosts.open("a") as file:
        file.write(line + "\n")


def accepts(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0
