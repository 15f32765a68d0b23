"""Many devices at once: none is lost because this machine, its gateway or a line has no room for all of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, NoAnswer
from orchestrator.transport.admission import Gate
from orchestrator.transport.ssh import SshConnector
from tests.contract.ssh.reaching import (
    StartServer,
    answering,
    configure_relay,
    device_of,
    trust,
)
from tests.servers.sshd import STOCK_MAX_STARTUPS, SshServer
from tests.servers.tcp_relay import TcpRelay

pytestmark = pytest.mark.system  # slow, and no part of the quick loop

HERD_S = 120.0


@pytest.fixture
def connector(connector: SshConnector) -> SshConnector:
    """A connector with a gate of its own: what other tests have seen does not count."""
    return replace(connector, gate=Gate(8))


def herd(device: Device, count: int) -> list[Device]:
    return [replace(device, name=f"pi-{number:03}") for number in range(count)]


def greet_all(connector: SshConnector, devices: Sequence[Device]) -> list[str]:
    """Connect to all devices at the same time, run a command on each, and return what failed."""
    failures: list[str] = []

    def greet(device: Device) -> None:
        try:
            with closing(connector.connect(device)) as transport:
                assert transport.run(["echo", "hello"]).stdout == b"hello\n"
        except DeviceError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=greet, args=(device,)) for device in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HERD_S)
    assert not any(thread.is_alive() for thread in threads)
    return failures


def test_none_is_lost_behind_a_gateway_that_drops_what_is_too_much(
    start_server: StartServer, connector: SshConnector
) -> None:
    gateway, target = start_server(max_startups=STOCK_MAX_STARTUPS), start_server()
    trust(connector, gateway, target)
    device = replace(device_of(target), jump_device=device_of(gateway, "gateway"))

    assert greet_all(connector, herd(device, 24)) == []


def test_none_is_lost_on_a_server_that_drops_most_of_what_comes(
    start_server: StartServer, connector: SshConnector
) -> None:
    server = start_server(max_startups="2:80:4")
    trust(connector, server)

    assert greet_all(connector, herd(device_of(server), 24)) == []

    assert "drop connection" in server.log_text() or "beginning MaxStartups throttling" in server.log_text()


@pytest.mark.system
def test_none_is_lost_behind_a_line_that_admits_a_few_at_a_time(ssh_server: SshServer, connector: SshConnector) -> None:
    """All at once, the last one would wait for three times as long as a device may take."""
    impatient = replace(connector, connect_timeout_s=1.0)
    with TcpRelay(ssh_server.host, ssh_server.port, admitted_per_s=10) as relay:
        configure_relay(impatient, ssh_server, relay)

        assert greet_all(impatient, herd(replace(device_of(ssh_server), port=relay.port), 30)) == []


@pytest.mark.system
def test_none_is_lost_where_all_wait_for_the_same_busy_machine(
    start_server: StartServer, connector: SshConnector
) -> None:
    """The machine stands still for longer than a device may take, but they all share that time."""
    server = start_server()
    trust(connector, server)
    impatient = replace(connector, connect_timeout_s=1.0)
    server.freeze()
    goes_on = threading.Timer(2.5, server.thaw)
    goes_on.start()

    failures = greet_all(impatient, herd(device_of(server), 24))

    goes_on.join()
    assert failures == []


def test_a_device_that_is_silent_is_told_from_the_herd(start_server: StartServer, connector: SshConnector) -> None:
    server = start_server()
    trust(connector, server)
    over = threading.Event()
    with answering(lambda client: over.wait(HERD_S)) as port:
        silent = replace(device_of(server, "silent"), port=port)

        told = greet_all(replace(connector, connect_timeout_s=2.0), [silent, *herd(device_of(server), 16)])
        over.set()

    assert told == [f"silent: 127.0.0.1:{port} did not answer within 2 s"]


@pytest.mark.system
def test_what_drops_every_connection_is_given_up(connector: SshConnector, start_server: StartServer) -> None:
    device = device_of(start_server())
    with answering(lambda client: client.close()) as port, pytest.raises(NoAnswer) as caught:
        connector.connect(replace(device, port=port))

    assert "MaxStartups" in (caught.value.hint or "")
