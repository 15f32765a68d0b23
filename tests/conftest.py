"""Real servers that several suites share."""

from collections.abc import Iterator

import pytest

from tests.servers.errors import ServerUnavailable
from tests.servers.sshd import SshServer


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """One sshd for all tests that leave it as it is; skips where no OpenSSH server is installed."""
    try:
        server = SshServer(tmp_path_factory.mktemp("sshd"))
    except ServerUnavailable as error:
        pytest.skip(str(error))
    with server:
        yield server
