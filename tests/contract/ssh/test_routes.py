"""The way to a device: the user's ssh configuration, proxy commands and jump hosts."""

import os
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import HostKeyUnknown, LinkLost, Unreachable
from orchestrator.transport.settings import TransportSettings
from orchestrator.transport.ssh import SshConnector
from orchestrator.transport.table import Connectors
from tests.contract.ssh.reaching import (
    TIMEOUT_S,
    StartServer,
    configure,
    device_of,
    failure,
    logs_in,
    says_hello,
    trust,
)
from tests.servers.ports import free_port
from tests.servers.sshd import SshServer


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

    @pytest.mark.parametrize("text", ["Host pi\n  Port many\n", "nonsense\n", 'Host "pi\n  Port 1\n'])
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


class TestConnectors:
    def test_picks_the_way_that_the_device_names(self, ssh_server: SshServer, connector: SshConnector) -> None:
        trust(connector, ssh_server)
        connectors = Connectors(TransportSettings(connector.known_hosts))

        assert says_hello(connectors, device_of(ssh_server))
        assert says_hello(connectors, Device("here", TransportKind.LOCAL))


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


def test_commands_of_the_configuration_leave_the_terminal_alone(home: Path) -> None:
    """Devices are looked up side by side, and whoever types meanwhile goes on to see it."""
    configure(home, 'Match exec "cat; true"\n  User somebody\nMatch exec "false"\n  Port 1\n')
    program = """if True:
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from orchestrator.transport.ssh.answers import Question
        from orchestrator.transport.ssh.config import SshConfig
        for config in (SshConfig(), SshConfig(Path("~/.ssh/config").expanduser())):
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda number: config.lookup(Question(f"host-{number}")), range(24)))
            assert all((host.user, host.port) == ("somebody", 22) for host in found), found
    """
    ours, theirs = os.openpty()
    try:
        before = termios.tcgetattr(theirs)
        subprocess.run([sys.executable, "-c", program], stdin=theirs, check=True, timeout=TIMEOUT_S)
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_name_is_given_to_a_shell_as_more_than_a_word(connector: SshConnector, home: Path, tmp_path: Path) -> None:
    configure(home, 'Match exec "test %h = nobody"\n  Port 1\n')
    error = failure(connector, Device("pi-01", TransportKind.SSH, f"x;touch {tmp_path}/made"))
    assert isinstance(error, Unreachable)
    assert "a shell would take it for more than a name" in error.message
    error = failure(connector, Device("pi-01", TransportKind.SSH, "pi", user=f"x;touch {tmp_path}/made"))
    assert "is no name of a user" in error.message
    assert not (tmp_path / "made").exists()
