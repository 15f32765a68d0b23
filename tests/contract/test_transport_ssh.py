"""What only SSH can do and suffer: host keys, logins, jump hosts, links that break. All against real servers."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import (
    AuthenticationFailed,
    DeviceError,
    HostKeyChanged,
    HostKeyUnknown,
    LinkLost,
    Unreachable,
)
from orchestrator.transport.settings import TransportSettings
from orchestrator.transport.table import Connectors
from tests.servers.errors import ServerUnavailable
from tests.servers.ports import free_port
from tests.servers.processes import wait_until
from tests.servers.sshd import NO_STARTUP_FILES, SshServer
from tests.servers.tcp_relay import TcpRelay

pytest.importorskip("paramiko")

from orchestrator.transport.host_keys import find, record, show_host_key
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.ssh.stream import SshStream

TIMEOUT_S = 20.0
SHORT_S = 0.4

StartServer = Callable[[], SshServer]


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

    def start() -> SshServer:
        try:
            server = SshServer(tmp_path / f"sshd-{len(servers)}", environment=NO_STARTUP_FILES)
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


class TestHostKeys:
    def test_an_unknown_one_is_refused_before_we_log_in(self, ssh_server: SshServer, connector: SshConnector) -> None:
        logged_before = len(ssh_server.log_text())

        error = failure(connector, device_of(ssh_server))

        assert isinstance(error, HostKeyUnknown)
        assert ssh_server.host_key_fingerprint in error.message
        assert error.hint == "benchfleet devices enroll pi-01"
        assert "Accepted" not in ssh_server.log_text()[logged_before:]

    def test_no_setting_of_the_users_lets_an_unknown_one_in(
        self, ssh_server: SshServer, connector: SshConnector, home: Path
    ) -> None:
        configure(home, "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")

        assert isinstance(failure(connector, device_of(ssh_server)), HostKeyUnknown)

    def test_a_changed_one_is_refused_with_file_and_line(
        self, start_server: StartServer, connector: SshConnector
    ) -> None:
        server, other = start_server(), start_server()
        trust(connector, other, server)
        expected = server.host_key_fingerprint
        server.rotate_host_key()

        error = failure(connector, device_of(server))

        assert isinstance(error, HostKeyChanged)
        assert expected in error.message
        assert server.host_key_fingerprint in error.message
        assert f"{connector.known_hosts}:2" in (error.hint or "")
        assert "enroll pi-01" in (error.hint or "")
        assert error.device == "pi-01"

    @pytest.mark.parametrize("hashed", [False, True])
    def test_those_that_ssh_knows_are_known(
        self, ssh_server: SshServer, connector: SshConnector, home: Path, hashed: bool
    ) -> None:
        file = home / ".ssh" / "known_hosts"
        file.write_text(ssh_server.known_hosts_line + "\n")
        if hashed:
            subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
            assert ssh_server.host not in file.read_text()

        assert logs_in(connector, device_of(ssh_server))

    def test_the_known_type_is_asked_for_where_a_server_has_several(
        self, start_server: StartServer, connector: SshConnector
    ) -> None:
        server = start_server()
        rsa = server.directory / "rsa_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(rsa)], check=True)
        two_keys = sshd_with(server, f'HostKey "{rsa}"')
        with two_keys as port:
            algorithm, key, *_ = rsa.with_suffix(".pub").read_text().split()
            connector.known_hosts.parent.mkdir()
            connector.known_hosts.write_text(f"[{server.host}]:{port} {algorithm} {key}\n")

            assert logs_in(connector, replace(device_of(server), port=port))


class TestEnrolling:
    def test_makes_an_unknown_device_known(self, ssh_server: SshServer, connector: SshConnector) -> None:
        device = device_of(ssh_server)
        shown = show_host_key(device, connector)
        assert shown.key.fingerprint == ssh_server.host_key_fingerprint
        assert (shown.key.type_name, shown.key.bits) == ("ED25519", 256)
        assert not shown.trusted

        recorded = record(device, shown.key, connector)

        assert recorded.place == f"{connector.known_hosts}:1"
        assert find(device, connector) == (recorded,)
        assert connector.known_hosts.stat().st_mode & 0o777 == 0o600
        assert connector.known_hosts.parent.stat().st_mode & 0o777 == 0o700
        assert says_hello(connector, device)
        assert record(device, shown.key, connector) == recorded
        assert show_host_key(device, connector).trusted
        assert ssh_accepts(ssh_server, connector.known_hosts)

    def test_never_replaces_a_key(self, start_server: StartServer, connector: SshConnector) -> None:
        server = start_server()
        trust(connector, server)
        server.rotate_host_key()
        shown = show_host_key(device_of(server), connector)

        with pytest.raises(HostKeyChanged, match="host key changed") as caught:
            record(device_of(server), shown.key, connector)

        assert f"{connector.known_hosts}:1" in str(caught.value.hint)

    def test_reaches_through_a_jump_host(self, start_server: StartServer, connector: SshConnector) -> None:
        jump, target = start_server(), start_server()
        trust(connector, jump)
        device = replace(device_of(target), jump="gate", jump_device=device_of(jump, "gate"))

        assert show_host_key(device, connector).key.fingerprint == target.host_key_fingerprint

    def test_says_so_when_there_is_nobody(self, connector: SshConnector) -> None:
        device = Device("pi-01", TransportKind.SSH, "127.0.0.1", free_port())

        with pytest.raises(Unreachable, match="refuses connections") as caught:
            show_host_key(device, connector)

        assert caught.value.device == "pi-01"


class TestLogin:
    def test_a_wrong_key_is_named(self, start_server: StartServer, connector: SshConnector) -> None:
        server, other = start_server(), start_server()
        trust(connector, server)
        device = replace(device_of(server), identity_file=str(other.identity_file))

        error = failure(connector, device)

        assert isinstance(error, AuthenticationFailed)
        assert str(other.identity_file) in error.message
        assert f"{server.user} on {server.host}:{server.port}" in error.message

    def test_a_wrong_user_is_named(self, ssh_server: SshServer, connector: SshConnector) -> None:
        trust(connector, ssh_server)

        error = failure(connector, replace(device_of(ssh_server), user="nobody-we-know"))

        assert isinstance(error, AuthenticationFailed)
        assert "nobody-we-know on" in error.message

    def test_a_key_with_a_passphrase_belongs_in_the_agent(
        self, ssh_server: SshServer, connector: SshConnector, tmp_path: Path
    ) -> None:
        trust(connector, ssh_server)
        locked = tmp_path / "locked"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "s3cret", "-f", str(locked)], check=True)

        error = failure(connector, replace(device_of(ssh_server), identity_file=str(locked)))

        assert isinstance(error, AuthenticationFailed)
        assert f"{locked} is protected by a passphrase" in error.message
        assert error.hint == f"have the agent hold it: ssh-add {locked}"

    @pytest.mark.parametrize(("content", "said"), [(None, "there is no key"), ("nonsense\n", "holds no private key")])
    def test_a_key_that_is_none_is_told(
        self, ssh_server: SshServer, connector: SshConnector, tmp_path: Path, content: str | None, said: str
    ) -> None:
        trust(connector, ssh_server)
        file = tmp_path / "key"
        if content is not None:
            file.write_text(content)

        error = failure(connector, replace(device_of(ssh_server), identity_file=str(file)))

        assert isinstance(error, AuthenticationFailed)
        assert said in error.message

    def test_having_no_key_at_all_is_told(self, ssh_server: SshServer, connector: SshConnector) -> None:
        trust(connector, ssh_server)

        error = failure(connector, replace(device_of(ssh_server), identity_file=None))

        assert isinstance(error, AuthenticationFailed)
        assert "no key to log in as" in error.message

    def test_the_usual_key_is_found(self, ssh_server: SshServer, connector: SshConnector, home: Path) -> None:
        trust(connector, ssh_server)
        (home / ".ssh" / "id_ed25519").write_bytes(ssh_server.identity_file.read_bytes())

        assert logs_in(connector, replace(device_of(ssh_server), identity_file=None))

    def test_the_agents_key_serves(
        self, ssh_server: SshServer, connector: SshConnector, agent: Callable[..., None]
    ) -> None:
        trust(connector, ssh_server)
        agent(ssh_server.identity_file)

        assert logs_in(connector, replace(device_of(ssh_server), identity_file=None))

    def test_the_agent_serves_for_a_file_with_a_passphrase(
        self, ssh_server: SshServer, connector: SshConnector, agent: Callable[..., None], tmp_path: Path
    ) -> None:
        trust(connector, ssh_server)
        agent(ssh_server.identity_file)
        locked = tmp_path / "locked"
        locked.write_bytes(ssh_server.identity_file.read_bytes())
        locked.chmod(0o600)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "s3cret", "-P", "", "-f", str(locked)], check=True)
        locked.with_name("locked.pub").write_bytes(ssh_server.identity_file.with_suffix(".pub").read_bytes())

        assert logs_in(connector, replace(device_of(ssh_server), identity_file=str(locked)))

    def test_a_devices_own_key_is_the_only_one_offered(
        self, start_server: StartServer, connector: SshConnector, agent: Callable[..., None]
    ) -> None:
        server, other = start_server(), start_server()
        trust(connector, server)
        agent(server.identity_file)

        error = failure(connector, replace(device_of(server), identity_file=str(other.identity_file)))

        assert isinstance(error, AuthenticationFailed)

    def test_the_agent_is_never_forwarded(
        self, ssh_server: SshServer, connector: SshConnector, agent: Callable[..., None], home: Path
    ) -> None:
        trust(connector, ssh_server)
        agent(ssh_server.identity_file)
        configure(home, "ForwardAgent yes\n")
        transport = connector.connect(replace(device_of(ssh_server), identity_file=None))
        try:
            assert transport.run(["sh", "-c", 'echo "<$SSH_AUTH_SOCK>"']).stdout == b"<>\n"
        finally:
            transport.close()

    def test_an_agent_that_is_gone_is_no_agent(
        self, ssh_server: SshServer, connector: SshConnector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        trust(connector, ssh_server)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))

        assert logs_in(connector, device_of(ssh_server))

    def test_too_many_keys_are_told_apart_from_a_lost_link(
        self, ssh_server: SshServer, connector: SshConnector, agent: Callable[..., None], tmp_path: Path
    ) -> None:
        trust(connector, ssh_server)
        keys = [tmp_path / f"key-{number}" for number in range(8)]
        for key in keys:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        agent(*keys)

        error = failure(connector, replace(device_of(ssh_server), identity_file=None))

        assert isinstance(error, AuthenticationFailed)
        assert "and the device ended the connection" in error.message
        assert "one key to offer" in str(error.hint)


class TestSshConfig:
    def test_an_alias_says_all_that_it_says_to_ssh(
        self, start_server: StartServer, connector: SshConnector, home: Path
    ) -> None:
        server = start_server()
        line = server.known_hosts_line.replace(f"[{server.host}]:{server.port}", "the-pi")
        known = home / "my known hosts"
        known.write_text(line + "\n")
        (home / ".ssh" / "conf.d").mkdir()
        (home / ".ssh" / "conf.d" / "lab").write_text(f"Host lab-*\n  HostName {server.host}\n  User {server.user}\n")
        configure(
            home,
            f'Include conf.d/*\nHost lab-pi\n  Port {server.port}\n  IdentityFile "{server.identity_file}"\n'
            f'  HostKeyAlias the-pi\n  UserKnownHostsFile "{known}"\nHost *\n  IdentityFile ~/.ssh/missing\n',
        )

        assert logs_in(connector, Device("pi-01", TransportKind.SSH, "lab-pi"))
        assert logs_in(connector, Device("lab-pi", TransportKind.SSH))

    def test_the_inventory_overrides_it(self, ssh_server: SshServer, connector: SshConnector, home: Path) -> None:
        trust(connector, ssh_server)
        configure(home, f"Host pi\n  HostName {ssh_server.host}\n  Port 1\n  User nobody\n  IdentityFile /none\n")

        assert logs_in(connector, replace(device_of(ssh_server), host="pi"))

    def test_a_proxy_command_carries_the_connection(
        self, ssh_server: SshServer, connector: SshConnector, home: Path, tmp_path: Path
    ) -> None:
        trust(connector, ssh_server)
        configure(home, f"Host 127.0.0.1\n  ProxyCommand {relay_program(tmp_path)} %h %p 2>/dev/null\n")

        assert says_hello(connector, device_of(ssh_server))

    def test_a_proxy_command_that_fails_is_told_in_its_own_words(
        self, ssh_server: SshServer, connector: SshConnector, home: Path
    ) -> None:
        configure(home, "Host 127.0.0.1\n  ProxyCommand echo no way there >&2\n")

        error = failure(connector, device_of(ssh_server))

        assert isinstance(error, Unreachable)
        assert error.message == "the proxy command failed: no way there"

    @pytest.mark.parametrize("text", ["Host pi\n  Port many\n", "nonsense\n", 'Host "pi\n'])
    def test_one_that_makes_no_sense_is_told(self, connector: SshConnector, home: Path, text: str) -> None:
        configure(home, text)

        with pytest.raises(Unreachable, match="ssh configuration"):
            connector.connect(Device("pi", TransportKind.SSH))


class TestJumpHosts:
    def test_another_device_leads_there(self, start_server: StartServer, connector: SshConnector) -> None:
        jump, target = start_server(), start_server()
        trust(connector, jump, target)
        device = replace(device_of(target), jump="gate", jump_device=device_of(jump, "gate"))

        assert says_hello(connector, device)
        assert f"Accepted publickey for {jump.user}" in jump.log_text()

    def test_an_ssh_alias_leads_there(self, start_server: StartServer, connector: SshConnector, home: Path) -> None:
        jump, target = start_server(), start_server()
        trust(connector, jump, target)
        gate = f"Host gate\n  HostName {jump.host}\n  Port {jump.port}\n  IdentityFile {jump.identity_file}\n"
        configure(home, gate)

        assert logs_in(connector, replace(device_of(target), jump="gate"))

        configure(home, f"{gate}Host {target.host}\n  ProxyJump {jump.user}@gate\n")
        jumps_before = jump.log_text().count("Accepted publickey")
        assert logs_in(connector, device_of(target))
        assert jump.log_text().count("Accepted publickey") == jumps_before + 1

    def test_a_jump_for_all_hosts_is_not_for_the_jump_host(
        self, start_server: StartServer, connector: SshConnector, home: Path
    ) -> None:
        jump, target = start_server(), start_server()
        trust(connector, jump, target)
        gate = f"Host gate\n  HostName {jump.host}\n  Port {jump.port}\n  IdentityFile {jump.identity_file}\n"
        configure(home, f"{gate}Host *\n  ProxyJump gate\n")

        assert logs_in(connector, device_of(target))

    def test_its_host_key_is_checked_too(self, start_server: StartServer, connector: SshConnector) -> None:
        jump, target = start_server(), start_server()
        trust(connector, target)
        device = replace(device_of(target), jump="gate", jump_device=device_of(jump, "gate"))

        error = failure(connector, device)

        assert isinstance(error, HostKeyUnknown)
        assert error.message.startswith("jump host gate: ")
        assert error.hint == "benchfleet devices enroll gate"
        assert error.device == "pi-01"

    def test_it_says_what_it_cannot_reach(self, ssh_server: SshServer, connector: SshConnector) -> None:
        trust(connector, ssh_server)
        port = free_port()
        device = replace(device_of(ssh_server), port=port, jump="gate", jump_device=device_of(ssh_server, "gate"))

        error = failure(connector, device)

        assert isinstance(error, Unreachable)
        assert error.message == f"the jump host cannot reach 127.0.0.1:{port}: connect failed"

    def test_losing_it_loses_the_link(self, start_server: StartServer, connector: SshConnector) -> None:
        jump, target = start_server(), start_server()
        trust(connector, jump, target)
        device = replace(device_of(target), jump="gate", jump_device=device_of(jump, "gate"))
        transport = connector.connect(device)
        stream = transport.stream(["sh", "-c", "echo ready; exec cat"])
        assert stream.read(6, TIMEOUT_S) == b"ready\n"

        jump.kill_connections()

        with pytest.raises(LinkLost, match="the connection was lost"):
            stream.read(1, TIMEOUT_S)
        transport.close()


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

    def test_a_server_that_hangs_up(self, connector: SshConnector) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            hang_up = threading.Thread(target=lambda: server.accept()[0].close())
            hang_up.start()

            error = failure(connector, Device("pi-01", TransportKind.SSH, "127.0.0.1", server.getsockname()[1]))
            hang_up.join()

        assert isinstance(error, Unreachable)
        assert "took the connection and closed it" in error.message

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
    def test_a_server_that_speaks_nonsense(self, connector: SshConnector, greeting: bytes) -> None:
        def greet() -> None:
            client, _ = server.accept()
            with client, suppress(ConnectionError):  # the other side may have had enough before it has heard all
                client.sendall(greeting)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=greet)
            thread.start()

            error = failure(connector, Device("pi-01", TransportKind.SSH, "127.0.0.1", server.getsockname()[1]))
            thread.join()

        assert isinstance(error, Unreachable)

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
        with socket.create_server(("127.0.0.1", 0)) as server:

            def hang_up_twice() -> None:
                for _ in range(2):
                    server.accept()[0].close()

            hang_up = threading.Thread(target=hang_up_twice)
            hang_up.start()
            command = [sys.executable, "-c", program, str(server.getsockname()[1])]
            done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
            hang_up.join()

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


class TestConnectors:
    def test_picks_the_way_that_the_device_names(self, ssh_server: SshServer, connector: SshConnector) -> None:
        trust(connector, ssh_server)
        connectors = Connectors(TransportSettings(connector.known_hosts))

        assert says_hello(connectors, device_of(ssh_server))
        assert says_hello(connectors, Device("here", TransportKind.LOCAL))


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts a real ssh-agent that holds the keys given."""
    address = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL)

    def hold(*keys: Path) -> None:
        wait_until(lambda: accepts(socket.AF_UNIX, str(address)), "the agent listens")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
        subprocess.run(["ssh-add", "-q", *map(str, keys)], check=True, capture_output=True)

    yield hold
    process.terminate()
    process.wait()


class sshd_with:  # noqa: N801 - reads as a function
    """A second sshd with the server's files and more configuration, as a context that gives its port."""

    def __init__(self, server: SshServer, more: str) -> None:
        self._config = server.directory / "second_config"
        self._port = free_port()
        lines = (server.directory / "sshd_config").read_text().splitlines()
        kept = [f"Port {self._port}" if line.startswith("Port ") else line for line in lines if "PidFile" not in line]
        self._config.write_text("\n".join([*kept, more, ""]))

    def __enter__(self) -> int:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: accepts(socket.AF_INET, ("127.0.0.1", self._port)), "the second sshd listens")
        return self._port

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait()


def accepts(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


def configure_relay(connector: SshConnector, server: SshServer, relay: TcpRelay) -> None:
    line = server.known_hosts_line.replace(f":{server.port} ", f":{relay.port} ")
    with connector.known_hosts.open("a") as file:
        file.write(line + "\n")


def relay_program(directory: Path) -> Path:
    """A program that connects its standard input and output to HOST PORT, as `nc` does."""
    program = directory / "relay.py"
    program.write_text(
        "import os, socket, sys, threading\n"
        "link = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): link.sendall(data)\n"
        "    link.shutdown(socket.SHUT_WR)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := link.recv(65536): os.write(1, data)\n"
    )
    wrapper = directory / "relay"
    wrapper.write_text(f'#!/bin/sh\nexec python3 {program} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def ssh_accepts(server: SshServer, known_hosts: Path) -> bool:
    """Whether OpenSSH's own client trusts the server by this file."""
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    identity = ["-i", str(server.identity_file), "-p", str(server.port), "-o", "BatchMode=yes"]
    command = ["ssh", *options, *identity, f"{server.user}@{server.host}", "true"]
    return subprocess.run(command, check=False, capture_output=True, env={**os.environ}).returncode == 0
