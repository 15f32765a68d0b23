"""Host keys: refused where unknown or changed, and how they become known."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import HostKeyChanged, HostKeyUnknown, Unreachable
from orchestrator.transport.host_keys import find, record, show_host_key
from orchestrator.transport.ssh import SshConnector
from tests import disks
from tests.contract.ssh.reaching import StartServer, configure, device_of, failure, logs_in, says_hello, trust
from tests.contract.ssh.test_login import sshd_with
from tests.servers.ports import free_port
from tests.servers.sshd import SshServer


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

    def test_a_full_disk_is_not_taken_for_a_missing_right(
        self, ssh_server: SshServer, connector: SshConnector, tmp_path: Path
    ) -> None:
        with disks.mounted(tmp_path / "disk", 64 << 10) as disk:
            full = SshConnector(disk / "known_hosts")
            device = device_of(ssh_server)
            shown = show_host_key(device, full)
            disks.fill(disk / "rest")
            with pytest.raises(Unreachable, match="No space left on device") as caught:
                record(device, shown.key, full)
        assert "free space on the disk of this machine" in str(caught.value.hint)

    def test_a_folder_that_may_not_be_written_is_told_as_that(
        self, ssh_server: SshServer, connector: SshConnector, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        kept = SshConnector(tmp_path / "file" / "known_hosts")
        shown = show_host_key(device_of(ssh_server), kept)
        with pytest.raises(Unreachable, match="cannot be recorded") as caught:
            record(device_of(ssh_server), shown.key, kept)
        assert caught.value.hint == "make the file and its directory writable"

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


def ssh_accepts(server: SshServer, known_hosts: Path) -> bool:
    """Whether OpenSSH's own client trusts the server by this file."""
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    identity = ["-i", str(server.identity_file), "-p", str(server.port), "-o", "BatchMode=yes"]
    command = ["ssh", *options, *identity, f"{server.user}@{server.host}", "true"]
    return subprocess.run(command, check=False, capture_output=True, env={**os.environ}).returncode == 0
