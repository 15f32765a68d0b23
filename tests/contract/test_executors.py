"""What every executor must do, checked on threads and on a real Ray."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.conversation import (
    Cancel,
    Close,
    Command,
    Report,
    SessionEnded,
    SessionId,
    SessionReport,
    Step,
    StepBegan,
    new_session,
)
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import GatewayLost, OrchestratorError, RayUnavailable, Unreachable
from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.execution.base import Emit, Executor, Launch, launches
from orchestrator.execution.threads import SWITCH_S, ThreadExecutor

WAIT_S = 30.0
AT_ONCE_S = 4.0
"""Less than a gateway waits for reports: a command that had to wait for that would come later."""


class EchoSession:
    """Reports every command that it is given, until told to close; some devices misbehave by name."""

    def __init__(self, device: Device, rescue: Rescue | None) -> None:
        self._device = device.name
        self._rescue = rescue
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()

    def run(self, emit: Emit) -> None:
        if self._device == "defective":
            raise ZeroDivisionError("nobody expected this")
        if self._device == "unreachable":
            emit(SessionEnded(self._device, Unreachable("refused", "is it on?", device=self._device)))
            return
        if self._device == "hung":
            while True:
                self._commands.get()
        if self._device == "busy":
            while not isinstance(self._commands.get(), Close):
                pass
            emit(SessionEnded(self._device))
            return
        if self._device == "telling":
            emit(StepBegan(self._device, Step.FACTS, str(os.getpid())))
        emit(StepBegan(self._device, Step.CONNECT, self._rescue.rung.value if self._rescue else ""))
        while not isinstance(command := self._commands.get(), Close):
            emit(StepBegan(self._device, Step.CANCEL, repr(command)))
        emit(SessionEnded(self._device))

    def post(self, command: Command) -> None:
        self._commands.put(command)


@dataclass(frozen=True)
class EchoFactory:
    def __call__(self, device: Device, rescue: Rescue | None = None) -> EchoSession:
        return EchoSession(device, rescue)


CLUSTER = """\
import ray, sys
options = {"include_dashboard": False, "log_to_driver": False}
found = ray.init(address="local", num_cpus=1, object_store_memory=100 << 20, **options)
print("address", found.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster in another process, as a lab has one; the cluster wants Ray's token, as by default."""
    os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads it once in a process, when it is imported
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        lines = (line.split() for line in started.stdout)
        yield next(words[1] for words in lines if words and words[0] == "address")
        assert started.stdin is not None
        assert started.poll() is None, "the cluster was not ours to end"
        started.stdin.close()


ON_RAY = [pytest.mark.system, pytest.mark.timeout(180)]
KINDS = [pytest.param("threads"), pytest.param("joined_ray", marks=ON_RAY), pytest.param("ray", marks=ON_RAY)]
GATEWAYS = [pytest.param("threads", marks=pytest.mark.skip(reason="threads have no gateway")), *KINDS[1:]]


def made(request: pytest.FixtureRequest, kind: str) -> Executor:
    """Return an executor of a kind: `joined_ray` joins the lab's cluster, as `--ray-address` does."""
    if kind == "threads":
        return ThreadExecutor(EchoFactory())
    address = request.getfixturevalue("cluster") if kind == "joined_ray" else None
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    from orchestrator.execution.ray import RayExecutor

    return RayExecutor(EchoFactory(), address)


# Ray is joined, or started, once: that takes many seconds, and runs share an executor anyway.
@pytest.fixture(scope="module", params=KINDS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """One executor of each kind, for all tests that leave it open."""
    with closing(made(request, request.param)) as shared:
        yield shared


@pytest.fixture
def closed_executor(executor: Executor, request: pytest.FixtureRequest) -> Iterator[Executor]:
    """An executor of the test's own, to be closed, on the same cluster."""
    with closing(made(request, request.node.callspec.params["executor"])) as own:
        yield own


def device(name: str) -> Device:
    return Device(name, TransportKind.LOCAL)


class Run:
    """One user of an executor: launches sessions, passes commands to them, and collects what they report."""

    def __init__(self, executor: Executor, name: str = "run-1") -> None:
        self._executor = executor
        self._name = name
        self.sessions: dict[str, SessionId] = {}
        self.strangers: list[SessionReport] = []
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()

    def launch(self, *names: str, rescue: Rescue | None = None) -> None:
        begun = [Launch(new_session(self._name, name), device(name), rescue) for name in names]
        self.sessions.update({launch.session.device: launch.session for launch in begun})
        self._executor.launch(begun, self._listen)

    def post(self, name: str, command: Command) -> None:
        self._executor.post(self.sessions[name], command)

    def end(self) -> None:
        self._executor.end(list(self.sessions.values()))

    def _listen(self, arrived: SessionReport) -> None:
        if self.sessions[arrived.report.device] != arrived.session:
            self.strangers.append(arrived)
        self.reports.put(arrived.report)

    def until_ended(self, count: int) -> list[Report]:
        seen: list[Report] = []
        deadline = time.monotonic() + WAIT_S
        while sum(isinstance(report, SessionEnded) for report in seen) < count:
            seen.append(self.reports.get(timeout=max(0.1, deadline - time.monotonic())))
        return seen


def test_every_device_has_a_session_that_hears_its_own_commands(executor: Executor) -> None:
    heard = Run(executor)
    heard.launch("one", "two")
    heard.post("two", Cancel("run-1"))
    heard.post("two", Close())
    heard.post("one", Close())

    seen = heard.until_ended(2)

    assert StepBegan("two", Step.CANCEL, repr(Cancel("run-1"))) in seen
    assert StepBegan("one", Step.CANCEL, repr(Cancel("run-1"))) not in seen
    assert {report.device for report in seen} == {"one", "two"}


def test_devices_that_are_launched_later_are_heard_too(executor: Executor) -> None:
    heard = Run(executor)
    heard.launch("one")
    heard.post("one", Close())
    heard.until_ended(1)
    heard.launch("two")
    heard.post("two", Cancel("run-1"))
    heard.post("two", Close())
    assert StepBegan("two", Step.CANCEL, repr(Cancel("run-1"))) in heard.until_ended(1)


def test_a_device_whose_session_has_ended_is_launched_again_to_be_rescued(executor: Executor) -> None:
    heard = Run(executor)
    heard.launch("one", "two")
    heard.post("one", Close())
    heard.until_ended(1)
    heard.launch("one", rescue=Rescue(Rung.POWER_CYCLE))
    heard.post("one", Close())
    assert StepBegan("one", Step.CONNECT, "power-cycle") in heard.until_ended(1)
    heard.post("two", Close())
    assert [report.device for report in heard.until_ended(1) if isinstance(report, SessionEnded)] == ["two"]


def test_a_gateway_puts_commands_in_order_that_ray_begins_out_of_order() -> None:
    from orchestrator.execution.ray import Gateway

    session = SessionId("run", "one", "1")
    gateway = Gateway(EchoFactory())
    gateway.launch([Launch(session, device("one"), None)])
    for number in (2, 0, 1):
        gateway.post(number, session, Cancel(f"run-{number}"))
    gateway.post(3, session, Close())
    heard: list[Report] = []
    while not heard or not isinstance(heard[-1], SessionEnded):
        heard += [one.report for one in gateway.reports(WAIT_S)]
    assert heard[1:-1] == [StepBegan("one", Step.CANCEL, repr(Cancel(f"run-{number}"))) for number in range(3)]


def test_commands_arrive_in_order_and_at_once_while_another_session_is_busy(executor: Executor) -> None:
    """One device keeps its session from hearing anything; the other's commands do not wait for it, nor for reports."""
    heard = Run(executor)
    heard.launch("busy", "one")
    while heard.reports.get(timeout=WAIT_S) != StepBegan("one", Step.CONNECT):
        pass
    commands = [Cancel(f"run-{number}") for number in range(12)]
    began = time.monotonic()
    for command in commands:
        heard.post("one", command)
    echoed = [heard.reports.get(timeout=WAIT_S) for _ in commands]
    took_s = time.monotonic() - began

    assert echoed == [StepBegan("one", Step.CANCEL, repr(command)) for command in commands]
    assert took_s < AT_ONCE_S
    heard.post("busy", Close())
    heard.post("one", Close())
    assert len([report for report in heard.until_ended(2) if isinstance(report, SessionEnded)]) == 2


def test_a_device_that_fails_does_not_end_the_others(executor: Executor) -> None:
    heard = Run(executor)
    heard.launch("unreachable", "defective", "fine")
    heard.post("fine", Close())

    ended = {report.device: report.error for report in heard.until_ended(3) if isinstance(report, SessionEnded)}

    assert ended["fine"] is None
    assert isinstance(ended["unreachable"], Unreachable)
    assert ended["unreachable"].hint == "is it on?"
    assert "unexpected ZeroDivisionError" in str(ended["defective"])


def test_close_ends_sessions_that_were_not_told_to(closed_executor: Executor) -> None:
    heard = Run(closed_executor)
    heard.launch("one", "two")
    closed_executor.close()
    closed_executor.close()
    assert len([report for report in heard.until_ended(2) if isinstance(report, SessionEnded)]) == 2


def test_a_session_that_has_ended_ignores_commands(executor: Executor) -> None:
    heard = Run(executor)
    heard.launch("unreachable", "one")
    heard.post("unreachable", Cancel("run-1"))
    heard.post("one", Close())
    assert len(heard.until_ended(2)) >= 2


def test_two_runs_share_an_executor_and_neither_hears_the_other(executor: Executor) -> None:
    """Both have a session with the same device, as a run and the command that cancels another there."""
    one, other = Run(executor, "run-1"), Run(executor, "run-2")
    one.launch("one", "two")
    other.launch("one")
    one.post("one", Cancel("run-1"))
    other.post("one", Cancel("run-2"))
    one.end()
    heard = one.until_ended(2)
    assert StepBegan("one", Step.CANCEL, repr(Cancel("run-1"))) in heard
    assert StepBegan("one", Step.CANCEL, repr(Cancel("run-2"))) not in heard
    other.post("one", Cancel("run-3"))
    other.end()
    cancels = [report.detail for report in other.until_ended(1) if report in _cancels("run-2", "run-3")]  # type: ignore[union-attr]
    assert cancels == [repr(Cancel("run-2")), repr(Cancel("run-3"))], "the end of the first run ends no other"
    assert one.strangers == other.strangers == []


def _cancels(*runs: str) -> list[Report]:
    return [StepBegan("one", Step.CANCEL, repr(Cancel(run))) for run in runs]


def test_what_is_meant_for_a_session_that_has_ended_does_not_reach_the_next_one_of_its_device(
    executor: Executor,
) -> None:
    run = Run(executor)
    run.launch("one")
    first = run.sessions["one"]
    run.post("one", Close())
    run.until_ended(1)
    run.launch("one", rescue=Rescue(Rung.POWER_CYCLE))
    executor.post(first, Cancel("run-1"))
    executor.post(first, Close())
    run.post("one", Cancel("run-2"))
    run.post("one", Close())
    assert run.until_ended(1) == [
        StepBegan("one", Step.CONNECT, "power-cycle"),
        *_cancels("run-2"),
        SessionEnded("one"),
    ]
    assert run.strangers == []


def test_a_run_that_ends_waits_for_its_sessions(executor: Executor) -> None:
    run = Run(executor)
    run.launch("one", "busy")
    run.end()
    ended = [run.reports.get_nowait() for _ in range(run.reports.qsize())]
    assert {report.device for report in ended if isinstance(report, SessionEnded)} == {"one", "busy"}


def test_a_session_that_hangs_is_waited_for_once(closed_executor: Executor) -> None:
    run = Run(closed_executor)
    run.launch("hung", "one")
    closed_executor.end(list(run.sessions.values()), timeout_s=1.0)
    began = time.monotonic()
    closed_executor.close(timeout_s=60.0)
    assert time.monotonic() - began < WAIT_S


def test_waiting_threads_ask_for_the_interpreter_seldom() -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        with closing(ThreadExecutor(EchoFactory())) as executor:
            Run(executor).launch("one")
            assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("executor", GATEWAYS, indirect=True)
@pytest.mark.parametrize("idle", [False, True], ids=["with a session", "idle"])
def test_an_executor_outlives_its_gateway(executor: Executor, idle: bool) -> None:
    """Other runs share the executor: the death of a gateway ends its sessions, and nothing launched later."""
    first = Run(executor)
    first.launch("telling")
    told = first.reports.get(timeout=WAIT_S)
    assert isinstance(told, StepBegan)
    if idle:
        first.post("telling", Close())
        first.until_ended(1)
    os.kill(int(told.detail), signal.SIGKILL)
    if idle:
        with pytest.raises(OrchestratorError, match="the Ray gateway did not start"):
            Run(executor, "run-2").launch("one")
    else:
        ended = first.until_ended(1)[-1]
        assert isinstance(ended, SessionEnded)
        assert isinstance(ended.error, GatewayLost)
        first.post("telling", Cancel("run-1"))
    later = Run(executor, "run-3")
    later.launch("one")
    later.post("one", Cancel("run-3"))
    later.post("one", Close())
    assert later.until_ended(1) == [StepBegan("one", Step.CONNECT), *_cancels("run-3"), SessionEnded("one")]


@pytest.mark.system
def test_a_ray_that_takes_too_long_to_start_is_told_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises a bare Exception then; what brings it about, an overloaded machine, cannot be had at will."""
    ray_package = pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    from orchestrator.execution.ray import RayExecutor

    def never_ready(**_options: object) -> None:
        raise Exception("The current node timed out during startup. Some of the raylet failed to startup.\n...")

    monkeypatch.setattr(ray_package, "init", never_ready)
    monkeypatch.setattr(ray_package, "is_initialized", lambda: False)  # other tests' cluster may still be joined
    made = RayExecutor(EchoFactory())
    with pytest.raises(RayUnavailable, match="does not answer at a local cluster: The current node timed out") as told:
        made.launch(launches([device("pi-03")]), lambda _report: None)
    assert told.value.hint
    made.close()


ALONE = """\
import queue, sys
from contextlib import closing
from orchestrator.domain.errors import RayUnavailable
from orchestrator.execution.ray import RayExecutor
from tests.contract.test_executors import EchoFactory, Run, Close, WAIT_S
try:
    with closing(RayExecutor(EchoFactory(), *sys.argv[1:])) as executor:
        run = Run(executor)
        run.launch("one")
        run.post("one", Close())
        run.until_ended(1)
        print("ended")
except RayUnavailable as error:
    print(error.message, "|", error.hint)
"""


def alone(folder: Path, *address: str, **variables: str) -> str:
    """Use an executor in a process of its own, in Ray's folder `folder`, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *address],
        env={**environment, "RAY_TMPDIR": str(folder), **variables},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Ray's folder of a test: short, because Ray's sockets have their paths below it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    with tempfile.TemporaryDirectory(prefix="bf-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.system
@pytest.mark.timeout(180)
def test_a_cluster_of_ones_own_is_no_cluster_that_a_variable_or_a_note_names(ray_folder: Path) -> None:
    note = ray_folder / "ray" / "ray_current_cluster"
    note.parent.mkdir()
    note.write_text("127.0.0.1:1")  # as a killed cluster leaves it
    assert alone(ray_folder, RAY_ADDRESS="10.0.0.2:6379") == "ended"


@pytest.mark.system
@pytest.mark.timeout(180)
def test_a_folder_that_is_too_long_for_ray_is_not_taken_for_a_lack_of_memory(ray_folder: Path) -> None:
    said = alone(ray_folder / ("long" * 20))
    assert "RAY_TMPDIR=/tmp/ray-of-mine" in said
    assert "memory" not in said
