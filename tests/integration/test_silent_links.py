"""SSH links that lose every packet and say nothing: who speaks over an idle one, and who gives up a dead one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_worker.protocol.vocabulary import Event, LogState
from orchestrator.domain.conversation import FactsReported, FollowEnded, RecordsArrived, SessionEnded
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import LinkLost
from orchestrator.session.link import LinkPolicy
from orchestrator.session.worker_client import SILENT_HEARTBEATS_MAX
from orchestrator.transport.ssh import SshConnector
from tests.integration.session_bench import OK, WAIT_S, Bench, Talk
from tests.servers.processes import wait_until
from tests.servers.sshd import SshServer
from tests.servers.tcp_relay import Direction, TcpRelay

HEARTBEAT_S = 1.0
LIMIT_S = SILENT_HEARTBEATS_MAX * HEARTBEAT_S
SLOW_MACHINE_S = 5.0
IMPATIENT = LinkPolicy(losses_max=0, heartbeat_s=HEARTBEAT_S)


@pytest.fixture
def relay(ssh_server: SshServer) -> Iterator[TcpRelay]:
    with TcpRelay(ssh_server.host, ssh_server.port) as relay:
        yield relay


@dataclass(frozen=True)
class Far:
    """A device behind the relay, whose only trial waits for the gate and says nothing meanwhile."""

    bench: Bench
    connector: SshConnector
    gate: Path

    def talk(self) -> Talk:
        """Return a session that has started the run, or found it."""
        talk = Talk(self.bench, policy=IMPATIENT, reach=self.connector)
        talk.until(FactsReported)
        program = f"while [ ! -e {self.gate} ]; do sleep 0.05; done\n"
        talk.post(self.bench.assignment(program + OK, trials=1))
        return talk


@pytest.fixture
def far(ssh_server: SshServer, relay: TcpRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Far:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(ssh_server.known_hosts_line.replace(f":{ssh_server.port} ", f":{relay.port} ") + "\n")
    bench = Bench(tmp_path)
    identity = str(ssh_server.identity_file)
    state_dir = str(tmp_path / "device")
    bench.device = Device(
        "board",
        TransportKind.SSH,
        relay.host,
        relay.port,
        ssh_server.user,
        identity,
        state_dir=state_dir,
        exclusive=False,
    )
    return Far(bench, SshConnector(known_hosts, connect_timeout_s=5.0, end_timeout_s=0.4), tmp_path / "gate")


@pytest.fixture
def idle(far: Far) -> Iterator[Talk]:
    """A session that follows the silent trial."""
    talk = far.talk()
    while Event.TRIAL_STARTED not in {event["kind"] for event in talk.events}:
        talk.until(RecordsArrived)
    yield talk
    talk.end()


def wait_for_a_word(relay: TcpRelay) -> None:
    passed = relay.bytes_relayed
    wait_until(lambda: relay.bytes_relayed > passed, "something comes over the link", WAIT_S)


def test_an_idle_session_whose_link_is_silently_dead_is_given_up_within_the_limit(
    far: Far, idle: Talk, relay: TcpRelay
) -> None:
    relay.blackhole()
    began = time.monotonic()
    error = idle.until(SessionEnded).error
    waited_s = time.monotonic() - began

    assert isinstance(error, LinkLost)
    assert error.message == f"nothing came for {LIMIT_S:g} s"
    assert waited_s < LIMIT_S + SLOW_MACHINE_S

    relay.restore()
    far.gate.touch()
    again = far.talk()
    assert again.until(FollowEnded).state == LogState.FINISHED
    again.end()


def test_an_idle_session_whose_link_is_whole_stays(far: Far, idle: Talk, relay: TcpRelay) -> None:
    began = time.monotonic()
    for _ in range(2 * SILENT_HEARTBEATS_MAX):
        wait_for_a_word(relay)
    assert time.monotonic() - began > LIMIT_S

    assert idle.arriving.empty(), "neither a record nor a reconnection nor an end"
    assert relay.connection_count == 1
    far.gate.touch()
    assert idle.until(FollowEnded).state == LogState.FINISHED


def test_a_connection_that_nobody_uses_says_something_now_and_then(far: Far, relay: TcpRelay) -> None:
    connector = SshConnector(far.connector.known_hosts, connect_timeout_s=5.0, keepalive_s=1)
    transport = connector.connect(far.bench.device)
    said = relay.hold_after(1, Direction.TO_TARGET)
    assert said.wait(WAIT_S)
    transport.close()
