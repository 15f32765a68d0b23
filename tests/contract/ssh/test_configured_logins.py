"""Logging in by ssh configurations as people have them: what ssh makes of a file, we make of the file."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import DeviceError, HostKeyChanged, HostKeyUnknown, Unreachable
from orchestrator.transport.ssh import SshConnector
from tests.contract.ssh.reaching import configure, failure, logs_in
from tests.contract.ssh.test_login import sshd_with
from tests.servers.sshd import SshServer

BOARD = Device("board", TransportKind.SSH)

Reach = Callable[[str], SshConnector]


@pytest.fixture(params=["by ssh", pytest.param("by the parser", marks=pytest.mark.system)])
def reach(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Reach:
    """Returns a connector for a configuration, which ssh reads, or our own parser: HOME is not the account's home."""

    def connector(text: str) -> SshConnector:
        configure(home, text)
        file = home / ".ssh" / "config" if request.param == "by ssh" else None
        return SshConnector(tmp_path / "lab" / "known_hosts", file, connect_timeout_s=10.0)

    return connector


@pytest.fixture
def known(ssh_server: SshServer, tmp_path: Path) -> Path:
    file = tmp_path / "known"
    file.write_text(ssh_server.known_hosts_line + "\n")
    return file


def block(server: SshServer, known: Path, opening: str = "Host board", more: str = "") -> str:
    return (
        f"{opening}\n  HostName {server.host}\n  Port {server.port}\n  User {server.user}\n"
        f"  IdentityFile {server.identity_file}\n  UserKnownHostsFile {known}\n{more}"
    )


class TestFiles:
    def test_a_comment_ends_a_value(self, ssh_server: SshServer, known: Path, reach: Reach) -> None:
        lines = block(ssh_server, known).splitlines()
        assert logs_in(reach("\n".join(f"{line}   # Ann's, shelf 2" for line in lines) + "\n"), BOARD)

    @pytest.mark.parametrize(
        "line",
        [
            "Host other  # Ann's board\n  HostName 192.0.2.1\n",
            "Host other\n  Port many\n",
            "Host other\n  Nonsense yes\n",
            'Host other\n  User "ann\n',
            "Match user nobody-here tagged\n",
            "Match tagged lab-behind-tunnel\n  Port 1\n",
        ],
    )
    def test_a_line_of_another_host_does_no_harm(
        self, ssh_server: SshServer, known: Path, reach: Reach, line: str
    ) -> None:
        assert logs_in(reach(line + block(ssh_server, known)), BOARD)

    def test_a_condition_that_nobody_understands_is_told_and_not_taken_for_true(
        self, ssh_server: SshServer, known: Path, home: Path
    ) -> None:
        # By the parser, since newer releases of ssh understand the words.
        configure(home, "Match localnetwork 203.0.113.0/24\n  ProxyJump gate\n" + block(ssh_server, known))

        error = failure(SshConnector(known), BOARD)

        assert f"{home}/.ssh/config:1: Match localnetwork is not understood" in error.message
        assert "ProxyJump" in error.message

    @pytest.mark.parametrize(
        "opening",
        [
            'Match host="board"',
            "Match originalhost = board",
            "Match !host x,y",
            "Match all",
            "Host\tboard",
            "Host = board",
        ],
    )
    def test_blocks_are_opened_in_every_way(
        self, ssh_server: SshServer, known: Path, reach: Reach, opening: str
    ) -> None:
        assert logs_in(
            reach("Match final all\n  GSSAPIAuthentication yes\n" + block(ssh_server, known, opening)), BOARD
        )

    @pytest.mark.parametrize(
        "including", ["Include\t{}\n", "Host board*\n  Include {}\n", "Host x\nMatch all\n Include {}\n"]
    )
    def test_files_are_included_anywhere(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path, including: str
    ) -> None:
        part = tmp_path / "part.conf"
        part.write_text(block(ssh_server, known))
        assert logs_in(reach(including.format(part)), BOARD)

    def test_lines_end_as_on_windows(self, ssh_server: SshServer, known: Path, reach: Reach) -> None:
        assert logs_in(reach(block(ssh_server, known).replace("\n", "\r\n")), BOARD)


class TestKeys:
    def test_an_agent_of_its_own_is_asked(
        self,
        ssh_server: SshServer,
        known: Path,
        reach: Reach,
        agent: Callable[..., None],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        agent(ssh_server.identity_file)
        monkeypatch.delenv("SSH_AUTH_SOCK")
        text = block(ssh_server, known, more=f"  IdentityAgent {tmp_path}/agent\n")
        assert logs_in(reach(text.replace(f"  IdentityFile {ssh_server.identity_file}\n", "")), BOARD)

    def test_an_agent_without_keys_is_named(self, ssh_server: SshServer, known: Path, reach: Reach) -> None:
        text = block(ssh_server, known, more="  IdentityAgent /nowhere/agent\n")
        error = failure(reach(text.replace(f"  IdentityFile {ssh_server.identity_file}\n", "")), BOARD)
        assert "the agent /nowhere/agent has none" in error.message

    def test_a_certificate_is_offered_with_its_key(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path
    ) -> None:
        authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "key")
        sign(authority, key, "-n", ssh_server.user)
        certificate = (tmp_path / "key-cert.pub").rename(tmp_path / "elsewhere.pub")
        with sshd_with(ssh_server, f"TrustedUserCAKeys {authority}.pub\nAuthorizedKeysFile none\n") as port:
            known.write_text(ssh_server.known_hosts_line.replace(str(ssh_server.port), str(port)) + "\n")
            text = block(ssh_server, known, more=f"  CertificateFile {certificate}\n")
            text = text.replace(str(ssh_server.identity_file), str(key)).replace(str(ssh_server.port), str(port))
            assert logs_in(reach(text), BOARD)

    def test_a_certificate_of_the_agent_is_offered(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path, agent: Callable[..., None]
    ) -> None:
        authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "key")
        sign(authority, key, "-n", ssh_server.user)
        agent(key)
        with sshd_with(ssh_server, f"TrustedUserCAKeys {authority}.pub\nAuthorizedKeysFile none\n") as port:
            known.write_text(ssh_server.known_hosts_line.replace(str(ssh_server.port), str(port)) + "\n")
            text = block(ssh_server, known).replace(str(ssh_server.port), str(port))
            assert logs_in(reach(text.replace(f"  IdentityFile {ssh_server.identity_file}\n", "")), BOARD)

    def test_what_allows_no_key_is_refused(self, ssh_server: SshServer, known: Path, reach: Reach, home: Path) -> None:
        error = failure(reach(block(ssh_server, known, more="  PubkeyAuthentication no\n")), BOARD)
        assert f"PubkeyAuthentication no of {home}/.ssh/config:7" in error.message


class TestHostKeys:
    def test_a_certificate_of_the_host_is_checked(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path
    ) -> None:
        authority, host_key = make_key(tmp_path / "authority"), make_key(tmp_path / "host")
        sign(authority, host_key, "-h", "-n", "board.lab")
        record = f"@cert-authority *.lab,[*.lab]:* {(tmp_path / 'authority.pub').read_text()}"
        more = f"HostKey {host_key}\nHostCertificate {host_key}-cert.pub\n"
        with sshd_with(ssh_server, more, without="HostKey ") as port:
            text = block(ssh_server, known).replace(str(ssh_server.port), str(port))
            known.write_text(record)
            assert logs_in(reach(text + "  HostKeyAlias board.lab\n"), BOARD)
            error = failure(reach(text + "  HostKeyAlias other.lab\n"), BOARD)
            assert isinstance(error, HostKeyUnknown)
            assert "it is not for other.lab" in error.message
            known.write_text(record.replace("cert-authority", "revoked"))
            assert isinstance(failure(reach(text + "  HostKeyAlias board.lab\n"), BOARD), HostKeyUnknown)

    def test_a_command_may_know_the_host(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path
    ) -> None:
        knows = tmp_path / "knows"
        knows.write_text(f'#!/bin/sh\ntest "$1" = "[{ssh_server.host}]:{ssh_server.port}" && cat {known}\nexit 0\n')
        knows.chmod(0o755)
        text = block(ssh_server, Path("none"))
        assert isinstance(failure(reach(text), BOARD), HostKeyUnknown)
        assert logs_in(reach(f"{text}  KnownHostsCommand {knows} %H\n"), BOARD)
        error = failure(reach(f"{text}  KnownHostsCommand /bin/false\n"), BOARD)
        assert "KnownHostsCommand failed" in error.message

    def test_revoked_keys_are_refused(self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path) -> None:
        revoked = tmp_path / "revoked"
        revoked.write_text(" ".join(ssh_server.known_hosts_line.split()[1:]) + "\n")
        text = block(ssh_server, known, more=f"  RevokedHostKeys {revoked}\n")
        assert isinstance(failure(reach(text), BOARD), HostKeyChanged)
        revoked.write_bytes(b"SSHKRL\n\0\x00\xff")
        error = failure(reach(text), BOARD)
        assert isinstance(error, Unreachable)
        assert "is no list of keys" in error.message


class TestAlgorithms:
    @pytest.mark.parametrize(
        ("server", "option", "theirs"),
        [
            ("Ciphers chacha20-poly1305@openssh.com", "Ciphers", "chacha20-poly1305@openssh.com"),
            ("KexAlgorithms sntrup761x25519-sha512@openssh.com", "KexAlgorithms", "sntrup761x25519-sha512@openssh.com"),
            ("Ciphers aes256-ctr\nMACs umac-128-etm@openssh.com", "MACs", "umac-128-etm@openssh.com"),
        ],
    )
    def test_the_lists_of_both_sides_are_told(
        self, ssh_server: SshServer, connector: SshConnector, server: str, option: str, theirs: str
    ) -> None:
        with sshd_with(ssh_server, server) as port:
            error = failure(connector, Device("board", TransportKind.SSH, ssh_server.host, port))
        assert f"offers no {option} that we may use: {theirs}" in error.message
        assert "benchfleet has " in error.message
        assert "sshd_config there" in str(error.hint)

    def test_the_configuration_restricts_ours(
        self, ssh_server: SshServer, known: Path, reach: Reach, home: Path
    ) -> None:
        assert logs_in(
            reach(block(ssh_server, known, more="  Ciphers aes256-ctr\n  KexAlgorithms curve25519-sha256\n")), BOARD
        )
        error = failure(reach(block(ssh_server, known, more="  Ciphers chacha20-poly1305@openssh.com\n")), BOARD)
        assert f"Ciphers chacha20-poly1305@openssh.com of {home}/.ssh/config:7 leaves no algorithm" in error.message
        assert "aes256-ctr" in error.message
        with sshd_with(ssh_server, "Ciphers aes128-ctr") as port:
            text = block(ssh_server, known, more="  Ciphers aes256-ctr\n").replace(str(ssh_server.port), str(port))
            error = failure(reach(text), BOARD)
        assert f"Ciphers of {home}/.ssh/config:7 leaves us aes256-ctr" in error.message

    def test_an_old_server_is_reached_where_the_configuration_says_so(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path
    ) -> None:
        host_key = make_key(tmp_path / "rsa", "rsa")
        old = f"KexAlgorithms diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-rsa\nHostKey {host_key}\n"
        with sshd_with(ssh_server, old, without="HostKey ") as port:
            known.write_text(f"[{ssh_server.host}]:{port} {Path(f'{host_key}.pub').read_text()}")
            text = block(ssh_server, known).replace(str(ssh_server.port), str(port))
            error = failure(reach(text), BOARD)
            assert "KexAlgorithms +diffie-hellman-group14-sha1 in the ssh configuration" in str(error.hint)
            more = "  KexAlgorithms +diffie-hellman-group14-sha1\n  HostKeyAlgorithms +ssh-rsa\n"
            assert logs_in(reach(text + more), BOARD)

    def test_a_key_of_a_type_that_is_left_out_is_not_offered(
        self, ssh_server: SshServer, known: Path, reach: Reach, home: Path
    ) -> None:
        error = failure(reach(block(ssh_server, known, more="  PubkeyAcceptedAlgorithms rsa-sha2-512\n")), BOARD)
        assert f"PubkeyAcceptedAlgorithms of {home}/.ssh/config:7 leaves out ssh-ed25519" in error.message


class TestConnections:
    def test_a_proxy_command_may_pass_the_connection(
        self, ssh_server: SshServer, known: Path, reach: Reach, tmp_path: Path
    ) -> None:
        program = tmp_path / "passes.py"
        program.write_text(
            "import socket, sys\n"
            "to = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
            "socket.send_fds(socket.socket(fileno=1), [b'.'], [to.fileno()])\n"
        )
        more = f"  ProxyUseFdpass yes\n  ProxyCommand python3 {program} %h %p\n"
        assert logs_in(reach(block(ssh_server, known, more=more)), BOARD)

    def test_it_is_made_from_where_the_configuration_says(
        self, ssh_server: SshServer, known: Path, reach: Reach
    ) -> None:
        assert logs_in(reach(block(ssh_server, known, more="  AddressFamily inet\n  BindAddress 127.0.0.3\n")), BOARD)
        assert "127.0.0.3" in ssh_server.log_text()
        error = failure(reach(block(ssh_server, known, more="  AddressFamily inet6\n")), BOARD)
        assert isinstance(error, DeviceError)

    def test_it_is_compressed_if_told_to(self, ssh_server: SshServer, known: Path, reach: Reach) -> None:
        transport = reach(block(ssh_server, known, more="  Compression yes\n")).connect(BOARD)
        try:
            assert transport.run(["echo", "hello"]).stdout == b"hello\n"
        finally:
            transport.close()


def make_key(file: Path, kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(file)], check=True)
    return file


def sign(authority: Path, key: Path, *options: str) -> None:
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", *options, f"{key}.pub"]
    subprocess.run(command, check=True, capture_output=True)
