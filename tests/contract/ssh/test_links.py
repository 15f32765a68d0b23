"""Links that cannot be made, and links that break."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import fabric
import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import LinkLost, Unreachable
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.ssh import stream as stream_module
from orchestrator.transport.ssh.stream import SshStream
from tests.contract.ssh.reaching import (
    SHORT_S,
    TIMEOUT_S,
    StartServer,
    answering,
    configure_relay,
    device_of,
    failure,
    logs_in,
    says_hello,
    trust,
)
from tests.servers import processes
from tests.servers.ports import free_port
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import TcpRelay


class TestUnreachable:
    def test_a_refused_port(self, connector: SshConnector) -> None:
        port = free_port()

        error = failure(connector, Device("pi-01", TransportKind.SSH, "127.0.0.1", port))

        assert isinstance(error, Unreachable)
        assert error.message == f"127.0.0.1:{port} refuses connections"

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70, "two words"])
    def test_a_name_that_nobody_knows(self, connector: SshConnector, host: str) -> None:
        error = failure(connector, Device("pi-01", TransportKind.SSH, host))

        assert isinstance(error, Unreachable)
        assert error.message.startswith(f"{host} is no known host name")

    def test_a_link_that_swallows_everything(self, ssh_server: SshServer, connector: SshConnector) -> None:
        with TcpRelay(ssh_server.host, ssh_server.port) as relay:
            relay.blackhole()
            impatient = replace(connector, connect_timeout_s=SHORT_S)
            began = time.monotonic()

            error = failure(impatient, replace(device_of(ssh_server), port=relay.port))

            assert isinstance(error, Unreachable)
            assert "did not answer within 0.4 s" in error.message
            assert time.monotonic() - began < TIMEOUT_S

    @pytest.mark.system
    def test_a_server_that_hangs_up(self, connector: SshConnector) -> None:
        with answering(lambda client: client.close()) as port:
            error = failure(connector, Device("pi-01", TransportKind.SSH, "127.0.0.1", port))

        assert isinstance(error, Unreachable)
        assert "took the connection and closed it" in error.message
        assert "MaxStartups" in (error.hint or "")

    @pytest.mark.parametrize(
        "greeting",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-1.5-old\r\n",
            b"SSH-2.0-x\r\n" + bytes(range(256)),
            b"SSH-2.0-x\r\n" + b"\x00\x00\x00\x1c\x06\x14" + b"\xff" * 32,
            b"SSH-2.0-x\r\n" + b"\x00\x00\x00\x1c\x06\x14" + bytes(16) + b"\x00\x00\x00\x02\xff\xfe" + bytes(8),
        ],
    )
    @pytest.mark.system
    def test_a_server_that_speaks_nonsense(self, connector: SshConnector, greeting: bytes) -> None:
        def greet(client: socket.socket) -> None:
            with suppress(ConnectionError):  # the other side may have had enough before it has heard all
                client.sendall(greeting)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass

        with answering(greet) as port:
            error = failure(connector, Device("pi-01", TransportKind.SSH, "127.0.0.1", port))

        assert isinstance(error, Unreachable)

    @pytest.mark.system
    def test_the_libraries_beneath_stay_silent(self) -> None:
        program = """
import logging, sys
from pathlib import Path
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.transport.ssh import SshConnector
for attempt in range(2):
    try:
        SshConnector(Path("none")).connect(Device("pi", TransportKind.SSH, "127.0.0.1", int(sys.argv[1])))
    except Unreachable as error:
        print(error)
    logging.basicConfig(level=logging.DEBUG)
"""
        with answering(lambda client: client.close()) as port:
            command = [sys.executable, "-c", program, str(port)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)

        assert done.stdout.count("took the connection and closed it") == 2
        assert done.stderr == ""


class TestLostLinks:
    @pytest.fixture
    def server(self, start_server: StartServer, connector: SshConnector) -> SshServer:
        server = start_server()
        trust(connector, server)
        return server

    @pytest.fixture
    def stream(self, server: SshServer, connector: SshConnector) -> Iterator[SshStream]:
        transport = connector.connect(device_of(server))
        stream = transport.stream(["sh", "-c", "echo ready; exec cat"])
        assert stream.read(6, TIMEOUT_S) == b"ready\n"
        yield stream
        transport.close()

    def test_a_killed_connection_is_not_the_end_of_the_output(self, server: SshServer, stream: SshStream) -> None:
        assert server.kill_connections() == 1

        with pytest.raises(LinkLost, match="the connection was lost"):
            stream.read(1, TIMEOUT_S)
        with pytest.raises(LinkLost):
            stream.write(b"x")
        assert stream.end().exit_status == -1

    def test_a_reader_that_waits_notices_at_once(self, server: SshServer, stream: SshStream) -> None:
        killer = threading.Timer(0.1, server.kill_connections)
        killer.start()
        began = time.monotonic()

        with pytest.raises(LinkLost, match="the connection was lost"):
            stream.read(1, 60)

        killer.join()
        assert time.monotonic() - began < 10

    def test_the_server_comes_back_and_so_do_we(
        self, server: SshServer, stream: SshStream, connector: SshConnector
    ) -> None:
        server.stop()
        assert isinstance(failure(connector, device_of(server)), Unreachable)
        with pytest.raises(LinkLost):
            stream.read(1, TIMEOUT_S)

        server.start()

        assert says_hello(connector, device_of(server))

    @pytest.mark.system
    def test_a_controller_that_stood_still_does_not_call_the_device_silent(
        self, server: SshServer, connector: SshConnector
    ) -> None:
        """It is stopped for longer than the device may be silent, while the device goes on to speak."""
        program = """
import sys
from pathlib import Path
from orchestrator.domain.device import Device, TransportKind
from orchestrator.transport.ssh import SshConnector
known_hosts, host, port, user, key = sys.argv[1:]
device = Device("pi", TransportKind.SSH, host, int(port), user, identity_file=key)
transport = SshConnector(Path(known_hosts)).connect(device)
stream = transport.stream(["sh", "-c", "while echo alive; do sleep 0.2; done"])
while stream.read(100, 2.0):
    print("read", flush=True)
"""
        reach = [server.host, str(server.port), server.user, str(server.identity_file)]
        command = [sys.executable, "-c", program, str(connector.known_hosts), *reach]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"read\n"
            for _ in range(3):
                processes.pause(reader.pid)
                threading.Event().wait(2.5)  # what is tested is that so much time passes
                reader.send_signal(signal.SIGCONT)
                for _ in range(5):
                    assert reader.stdout.readline() == b"read\n", reader.communicate()[1].decode()
            reader.kill()

    def test_a_command_that_reads_byte_by_byte_is_given_up_though_it_always_reads(
        self, server: SshServer, connector: SshConnector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream_module, "BYTES_PER_S_MIN", 16 << 20)
        transport = replace(connector, write_stall_s=SHORT_S).connect(device_of(server))
        reads = "import os, time\nwhile os.read(0, 65536): time.sleep(0.05)"
        with pytest.raises(LinkLost, match="takes less than 16777216 bytes a second"):
            transport.stream([sys.executable, "-c", reads]).write(bytes(16 << 20))
        transport.close()

    def test_silence_is_noticed_by_whoever_waits(self, server: SshServer, connector: SshConnector) -> None:
        with TcpRelay(server.host, server.port) as relay:
            connector = replace(connector, connect_timeout_s=SHORT_S, write_stall_s=SHORT_S)
            configure_relay(connector, server, relay)
            transport = connector.connect(replace(device_of(server), port=relay.port))
            stream = transport.stream(["cat"])
            relay.blackhole()

            with pytest.raises(LinkLost, match="nothing came"):
                stream.read(1, SHORT_S)
            with pytest.raises(LinkLost, match="no command can be started"):
                transport.stream(["true"])
            with pytest.raises(LinkLost):
                stream.write(bytes(64 * 1024 * 1024))
            transport.close()


def test_devices_that_are_connected_at_the_same_time_share_no_settings(
    ssh_server: SshServer, connector: SshConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fabric writes into the settings of a connection while it makes it: for a moment they are empty."""
    trust(connector, ssh_server)
    assert logs_in(connector, device_of(ssh_server))  # whatever is kept from one connection to the next is there now
    halfway, go_on, merge = threading.Event(), threading.Event(), fabric.Config.merge

    def merge_slowly(settings: fabric.Config) -> None:
        if threading.current_thread() is slow and not halfway.is_set():
            settings._set(_config={})  # as its own first line does
            halfway.set()
            assert go_on.wait(TIMEOUT_S)
        merge(settings)

    monkeypatch.setattr(fabric.Config, "merge", merge_slowly)
    slow = threading.Thread(target=logs_in, args=(connector, device_of(ssh_server, "pi-02")))
    slow.start()
    assert halfway.wait(TIMEOUT_S)
    try:
        assert logs_in(connector, device_of(ssh_server, "pi-03"))
    finally:
        go_on.set()
        slow.join(TIMEOUT_S)
    assert not slow.is_alive()
