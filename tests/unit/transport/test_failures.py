"""Which failures to connect are the device's own silence: only those are a reason to cut its power."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from paramiko.ssh_exception import ChannelException, SSHException

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import NoAnswer, Unreachable
from orchestrator.transport.ssh.config import SshConfig
from orchestrator.transport.ssh.failures import unreachable, was_dropped
from orchestrator.transport.ssh.route import Hop, Routes

SILENT = (
    ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    TimeoutError("timed out"),
    OSError(errno.EHOSTUNREACH, "No route to host"),
    EOFError(),
    SSHException("Error reading SSH protocol banner"),
)
ON_THE_WAY = (
    socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    OSError(errno.ENETUNREACH, "Network is unreachable"),
    OSError(errno.EMFILE, "Too many open files"),
    ChannelException(2, "Connect failed"),
    SSHException("Incompatible ssh peer"),
)


@pytest.fixture
def hop(tmp_path: Path) -> Hop:
    config = tmp_path / "config"
    config.write_text("")
    return Routes(SshConfig(config), tmp_path / "known_hosts").to(Device("pi", TransportKind.SSH, "pi.lab"))[0]


@pytest.mark.parametrize("error", SILENT, ids=repr)
def test_silence_is_the_devices_own(hop: Hop, error: Exception) -> None:
    assert isinstance(unreachable(hop, error, 0.1, 10.0), NoAnswer)


@pytest.mark.parametrize("error", ON_THE_WAY, ids=repr)
def test_what_is_on_the_way_there_or_on_this_side_is_not(hop: Hop, error: Exception) -> None:
    assert type(unreachable(hop, error, 0.1, 10.0)) is Unreachable


def test_whatever_took_too_long_is_silence(hop: Hop) -> None:
    assert isinstance(unreachable(hop, SSHException("gave up"), 10.0, 10.0), NoAnswer)


@pytest.mark.parametrize(
    "error",
    [EOFError(), ConnectionResetError(errno.ECONNRESET, "reset"), SSHException("Error reading SSH protocol banner")],
)
def test_what_was_accepted_and_closed_is_a_drop_and_the_hint_says_what_to_raise(hop: Hop, error: Exception) -> None:
    assert was_dropped(error)
    assert "MaxStartups" in (unreachable(hop, error, 0.1, 10.0).hint or "")


@pytest.mark.parametrize("error", [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), *ON_THE_WAY], ids=repr)
def test_what_never_was_a_connection_is_no_drop(error: Exception) -> None:
    assert not was_dropped(error)
