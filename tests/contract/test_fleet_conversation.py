"""The fleet simulator passes the worker's own contract of the conversation, through an OpenSSH client."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.session.start_line import start_line
from tests.servers.fleet import FleetServer

WORKER_TESTS = str(Path(__file__).parent.parent / "worker")
if WORKER_TESTS not in sys.path:
    sys.path.insert(0, WORKER_TESTS)
pytest.register_assert_rewrite("conversation_contract")

from conversation_contract import ConversationContract  # noqa: E402
from worker_client import Client, loader_source, pack_worker, sha256_of  # noqa: E402
from worker_plans import PlanBuilder  # noqa: E402

DEVICES = 60
"""More than the contract has tests: each gets a device that nothing has happened to."""


class SimulatedGate:
    """Keeps the trials of a simulated device from ending until it opens."""

    def __init__(self, fleet: FleetServer, name: str) -> None:
        self._fleet, self._name = fleet, name

    def add_program(self, plans: PlanBuilder, trials: int = 1, free: int = 0) -> None:
        self._fleet.hold(free, self._name)
        plans.add_program("job", trials=trials)

    def open(self) -> None:
        self._fleet.let_go_on(self._name)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    names = [f"device-{number}" for number in range(DEVICES)]
    with FleetServer(tmp_path_factory.mktemp("fleet") / "server", names, pace={"trial_s": 0.01}) as server:
        yield server
        assert server.log_text() == ""


@pytest.fixture(scope="module")
def fresh(simulated: FleetServer) -> Iterator[str]:
    return iter(simulated.names)


@pytest.fixture
def name(fresh: Iterator[str]) -> str:
    return next(fresh)


@pytest.fixture(scope="module")
def worker() -> bytes:
    packed: bytes = pack_worker()
    return packed


@pytest.fixture
def connect(simulated: FleetServer, name: str, worker: bytes) -> Iterator[Callable[[], Client]]:
    opened = []
    host = simulated.inventory()[name]["host"]
    words = start_line("/usr/bin/python3", loader_source(), ("/state", sha256_of(worker), str(len(worker))))
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    options += ["-o", f"UserKnownHostsFile={simulated.known_hosts}", "-o", "StrictHostKeyChecking=yes"]
    reached = ["-i", str(simulated.identity_file), "-p", str(simulated.port), f"{simulated.user}@{host}"]

    def open_connection() -> Client:
        opened.append(Client(worker, "/state", command=["ssh", *options, *reached, shlex.join(words)]))
        return opened[-1]

    yield open_connection
    for client in opened:
        client.close()


@pytest.fixture
def device(connect: Callable[[], Client]) -> Client:
    return connect()


@pytest.fixture
def plans() -> PlanBuilder:
    return PlanBuilder()


@pytest.fixture
def gate(simulated: FleetServer, name: str) -> SimulatedGate:
    return SimulatedGate(simulated, name)


class TestFleetConversation(ConversationContract):  # type: ignore[misc]
    """The contract, over SSH."""
