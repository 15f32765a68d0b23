"""The test servers do to clients what the tests that use them rely on."""

import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.servers import processes
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import Direction, TcpRelay

_TIMEOUT_S = 10


def ssh(server: SshServer, known_hosts: Path, *command: str) -> list[str]:
    """The command line of a client that trusts only what `known_hosts` says."""
    return [
        "ssh", "-F", "none", "-i", str(server.identity_file), "-p", str(server.port),
        "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
        "-o", "ConnectTimeout=5", f"{server.user}@{server.host}", *command,
    ]  # fmt: skip


def run(server: SshServer, known_hosts: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ssh(server, known_hosts, *command),
        check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S,
    )  # fmt: skip


def trust(server: SshServer, directory: Path) -> Path:
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(server.known_hosts_line + "\n")
    return known_hosts


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


class TestSshServer:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[SshServer]:
        with SshServer(tmp_path / "sshd", environment={"GREETING": 'say "hi" \\ there'}) as server:
            yield server

    @pytest.fixture
    def known_hosts(self, server: SshServer, tmp_path: Path) -> Path:
        return trust(server, tmp_path)

    def test_lets_the_current_user_in_with_its_key(self, server: SshServer, known_hosts: Path) -> None:
        done = run(server, known_hosts, "id -un; exit 7")

        assert done.stdout.strip() == server.user, done.stderr
        assert done.returncode == 7
        assert "Accepted publickey" in server.log_text()

    def test_refuses_any_other_key(self, server: SshServer, known_hosts: Path, tmp_path: Path) -> None:
        with SshServer(tmp_path / "other") as other:
            server.identity_file = other.identity_file
            done = run(server, known_hosts, "true")

        assert done.returncode == 255
        assert "Permission denied" in done.stderr

    def test_answers_at_every_address_of_loopback_where_it_is_to(self, tmp_path: Path) -> None:
        with SshServer(tmp_path / "everywhere", all_of_loopback=True) as server:
            known_hosts = tmp_path / "known_hosts"
            known_hosts.write_text(server.known_hosts_line_of("127.1.2.3") + "\n")
            server.host = "127.1.2.3"

            assert run(server, known_hosts, "echo hello").stdout == "hello\n"

    def test_drops_connections_that_are_not_logged_in_where_it_is_to(self, tmp_path: Path) -> None:
        with SshServer(tmp_path / "narrow", max_startups="3:100:3") as server, ExitStack() as clients:
            address = (server.host, server.port)
            opened = [clients.enter_context(socket.create_connection(address, timeout=_TIMEOUT_S)) for _ in range(6)]
            greeted = [client.recv(4) == b"SSH-" for client in opened]

        assert 0 < sum(greeted) <= 3

    def test_gives_sessions_its_environment(self, server: SshServer, known_hosts: Path) -> None:
        assert run(server, known_hosts, 'echo "$GREETING"').stdout == 'say "hi" \\ there\n'

    def test_names_its_host_key_as_ssh_keygen_does(self, server: SshServer, known_hosts: Path) -> None:
        shown = subprocess.run(["ssh-keygen", "-lf", known_hosts], check=True, capture_output=True, text=True)

        assert server.host_key_fingerprint in shown.stdout

    def test_serves_sftp(self, server: SshServer, known_hosts: Path, tmp_path: Path) -> None:
        (tmp_path / "sent").write_bytes(b"\0\1" * 100_000)
        login = ssh(server, known_hosts)
        options = [*login[1:5], "-P", str(server.port), *login[7:-1]]
        target = f"{server.user}@{server.host}:{tmp_path / 'received'}"

        subprocess.run(["scp", *options, tmp_path / "sent", target], check=True, timeout=_TIMEOUT_S)

        assert (tmp_path / "received").read_bytes() == (tmp_path / "sent").read_bytes()

    def test_comes_back_as_the_same_device_after_a_restart(self, server: SshServer, known_hosts: Path) -> None:
        server.stop()
        refused = run(server, known_hosts, "true")
        server.start()

        assert "Connection refused" in refused.stderr
        assert run(server, known_hosts, "true").returncode == 0

    def test_drops_every_connection_but_takes_new_ones(self, server: SshServer, known_hosts: Path) -> None:
        clients = [
            subprocess.Popen(
                ssh(server, known_hosts, "echo ready; exec sleep 60"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(3)
        ]
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == b"ready\n"

        assert server.kill_connections() == 3

        for client in clients:
            client.communicate(timeout=_TIMEOUT_S)
        assert [client.returncode for client in clients] == [255] * 3
        assert run(server, known_hosts, "true").returncode == 0

    def test_is_an_impostor_after_rotating_its_host_key(self, server: SshServer, known_hosts: Path) -> None:
        before = server.host_key_fingerprint
        server.rotate_host_key()

        assert server.host_key_fingerprint != before
        assert "HOST IDENTIFICATION HAS CHANGED" in run(server, known_hosts, "true").stderr

    def test_stopping_spares_a_detached_program_and_closing_does_not(self, tmp_path: Path) -> None:
        with SshServer(tmp_path / "sshd") as server:
            known_hosts = trust(server, tmp_path)
            started = run(server, known_hosts, "setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!")
            detached = int(started.stdout)
            server.stop()
            assert alive(detached)

        assert not alive(detached)

    def test_takes_many_connections_at_once(self, server: SshServer, known_hosts: Path) -> None:
        clients = [
            subprocess.Popen(ssh(server, known_hosts, "true"), stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            for _ in range(25)
        ]

        assert [client.wait(60) for client in clients] == [0] * len(clients)

    def test_moves_to_another_port_when_its_own_is_taken(self, tmp_path: Path) -> None:
        server = SshServer(tmp_path / "sshd")
        taken = server.port
        with socket.create_server((server.host, taken)), server:
            assert server.port != taken
            assert run(server, trust(server, tmp_path), "true").returncode == 0

    def test_dies_with_the_tests_when_they_are_killed(self, tmp_path: Path) -> None:
        program = (
            "import sys, time; from pathlib import Path; from tests.servers.sshd import SshServer;"
            f"server = SshServer(Path({str(tmp_path / 'sshd')!r})); server.start();"
            "print(server.port, flush=True); time.sleep(60)"
        )
        tests = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        with tests:
            assert tests.stdout is not None
            port = int(tests.stdout.readline())
            tests.kill()

        def refuses() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) != 0

        processes.wait_until(refuses, "sshd is gone")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


class TestPostgresServer:
    @pytest.fixture
    def server(self, postgres: PostgresServer) -> PostgresServer:
        return postgres

    def connect(self, url: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(url.replace("+psycopg", ""))

    def test_serves_separate_databases(self, server: PostgresServer) -> None:
        first, second = server.create_database("first"), server.create_database("second")
        with self.connect(first) as connection:
            connection.execute("create table here (x int)")
        with self.connect(first) as connection:
            assert connection.execute("select count(*) from here").fetchone() == (0,)
        with self.connect(second) as connection:
            assert connection.execute("select to_regclass('here')").fetchone() == (None,)

    def test_wants_the_password(self, server: PostgresServer) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            self.connect(server.url.replace(server.password, "guess"))

    def test_keeps_its_data_over_an_outage(self, server: PostgresServer) -> None:
        url = server.create_database("kept")
        with self.connect(url) as connection:
            connection.execute("create table here (x int)")
        server.stop()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            self.connect(url)
        server.start()
        with self.connect(url) as connection:
            assert connection.execute("select count(*) from here").fetchone() == (0,)

    def test_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with PostgresServer(tmp_path) as server:
            assert server._process is not None
            running = [server._process.pid, *processes.descendants(server._process.pid)]
            data = server._data
            with self.connect(server.url):
                server.close()

        assert data is not None
        assert not data.exists()
        assert not any(alive(pid) for pid in running)
        assert "ready to accept connections" in server.log_text()


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(4096):
                self.request.sendall(data)
        except ConnectionResetError:
            pass


class _Greet(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"!")


@contextmanager
def greeter() -> Iterator[int]:
    """Greet every client with one byte; yield the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Greet) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


class TestTcpRelay:
    @pytest.fixture
    def relay(self) -> Iterator[TcpRelay]:
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as target:
            threading.Thread(target=target.serve_forever, args=(0.01,)).start()
            try:
                with TcpRelay("127.0.0.1", target.server_address[1]) as relay:
                    yield relay
            finally:
                target.shutdown()

    @pytest.fixture
    def client(self, relay: TcpRelay) -> Iterator[socket.socket]:
        with socket.create_connection((relay.host, relay.port), timeout=_TIMEOUT_S) as client:
            yield client

    def echo(self, client: socket.socket, data: bytes) -> bytes:
        client.sendall(data)
        received = b""
        while len(received) < len(data) and (more := client.recv(65_536)):
            received += more
        return received

    def test_passes_bytes_both_ways_and_counts_them(self, relay: TcpRelay, client: socket.socket) -> None:
        assert self.echo(client, b"hello") == b"hello"
        assert relay.connection_count == 1
        processes.wait_until(lambda: relay.bytes_relayed == 10, "both ways are counted")

    def test_admits_so_many_clients_a_second(self) -> None:
        with greeter() as port, TcpRelay("127.0.0.1", port, admitted_per_s=10) as relay:
            began = time.monotonic()
            clients = [socket.create_connection((relay.host, relay.port), timeout=_TIMEOUT_S) for _ in range(6)]
            for client in clients:
                with client:
                    assert client.recv(1) == b"!"

            assert time.monotonic() - began >= 0.5

    def test_passes_an_end_of_stream_on(self, relay: TcpRelay, client: socket.socket) -> None:
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)

        assert client.makefile("rb").read() == b"last words"
        processes.wait_until(lambda: relay.connection_count == 0, "the connection is over")

    def test_resets_connections_and_refuses_new_ones_when_cut(self, relay: TcpRelay, client: socket.socket) -> None:
        self.echo(client, b"up")
        relay.cut()

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((relay.host, relay.port), timeout=_TIMEOUT_S)

    def test_takes_new_connections_when_restored(self, relay: TcpRelay) -> None:
        relay.cut()
        relay.restore()

        with socket.create_connection((relay.host, relay.port), timeout=_TIMEOUT_S) as client:
            assert self.echo(client, b"again") == b"again"

    def test_holds_bytes_back_in_a_blackhole_and_passes_them_when_restored(
        self, relay: TcpRelay, client: socket.socket
    ) -> None:
        self.echo(client, b"up")
        relay.blackhole()
        client.sendall(b"anybody there?")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)

        relay.restore()

        client.settimeout(_TIMEOUT_S)
        assert client.recv(100) == b"anybody there?"

    def test_falls_silent_after_exactly_so_many_bytes(self, relay: TcpRelay, client: socket.socket) -> None:
        reached = relay.hold_after(12, Direction.TO_TARGET)
        assert self.echo(client, b"seven b") == b"seven b"
        assert not reached.is_set()
        client.sendall(b"and more")
        assert reached.wait(_TIMEOUT_S)
        assert relay.bytes_relayed == 7 + 7 + 5, "seven there and back, and five of eight there"
        relay.restore()
        client.settimeout(_TIMEOUT_S)
        assert client.makefile("rb").read(8) == b"and more"

    def test_holds_only_once_for_each_time_that_it_is_asked(self, relay: TcpRelay, client: socket.socket) -> None:
        reached = relay.hold_after(3)
        client.sendall(b"stops")
        assert reached.wait(_TIMEOUT_S)
        relay.restore()
        client.settimeout(_TIMEOUT_S)
        assert client.makefile("rb").read(5) == b"stops"
        assert self.echo(client, b"and goes on") == b"and goes on"

    def test_does_not_tell_through_a_blackhole_that_the_other_side_is_gone(
        self, relay: TcpRelay, client: socket.socket
    ) -> None:
        relay.blackhole()
        client.shutdown(socket.SHUT_WR)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        relay.restore()
        client.settimeout(_TIMEOUT_S)
        assert client.recv(1) == b""

    def test_can_be_cut_while_it_is_a_blackhole(self, relay: TcpRelay, client: socket.socket) -> None:
        self.echo(client, b"up")
        relay.blackhole()
        client.sendall(b"lost")
        with socket.create_connection((relay.host, relay.port), timeout=_TIMEOUT_S) as late:
            relay.cut()
            for connection in (client, late):
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)

    def test_ends_clients_that_it_cannot_forward(self) -> None:
        with (
            TcpRelay("127.0.0.1", free_port()) as relay,
            pytest.raises(ConnectionResetError),
            socket.create_connection((relay.host, relay.port), timeout=_TIMEOUT_S) as client,
        ):
            client.recv(1)
