"""Logging in: keys, agents and what is said of those that do not fit."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.errors import AuthenticationFailed
from orchestrator.transport.ssh import SshConnector
from tests.contract.ssh.reaching import StartServer, accepts, configure, device_of, failure, logs_in, trust
from tests.servers.ports import free_port
from tests.servers.processes import wait_until
from tests.servers.sshd import SshServer


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

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("ending", ["", ".pub", "-cert.pub"])
    def test_a_key_that_is_a_pipe_keeps_nobody_waiting(
        self, ssh_server: SshServer, connector: SshConnector, tmp_path: Path, ending: str
    ) -> None:
        trust(connector, ssh_server)
        file = tmp_path / "key"
        if ending:
            shutil.copy(ssh_server.identity_file, file)
        os.mkfifo(f"{file}{ending}")
        device = replace(device_of(ssh_server), identity_file=str(file))

        if ending == ".pub":
            assert logs_in(connector, device)
        else:
            error = failure(connector, device)
            assert isinstance(error, AuthenticationFailed)
            assert f"the key {file} cannot be read: not a regular file" in error.message

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


class sshd_with:  # noqa: N801 - reads as a function
    """A second sshd with the server's files and more configuration, as a context that gives its port."""

    def __init__(self, server: SshServer, more: str, without: str = "PidFile") -> None:
        self._config = server.directory / "second_config"
        self._port = free_port()
        lines = (server.directory / "sshd_config").read_text().splitlines()
        kept = [f"Port {self._port}" if line.startswith("Port ") else line for line in lines if "PidFile" not in line]
        kept = [line for line in kept if not line.startswith(without)]
        self._config.write_text("\n".join([more, *kept, ""]))  # the first value of an option wins

    def __enter__(self) -> int:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: accepts(socket.AF_INET, ("127.0.0.1", self._port)), "the second sshd listens")
        return self._port

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait()
