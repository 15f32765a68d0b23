"""What every executor must do, checked on threads and on a real Ray."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass

import pytest

from orchestrator.domain.conversation import Cancel, Close, Command, Report, SessionEnded, Step, StepBegan
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import Unreachable
from orchestrator.domain.recovery import Rescue, Rung
from orchestrator.execution.base import Emit, Executor
from orchestrator.execution.threads import ThreadExecutor

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
        if self._device == "busy":
            while not isinstance(self._commands.get(), Close):
                pass
            emit(SessionEnded(self._device))
            return
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


@contextmanager
def threads() -> Iterator[Executor]:
    with closing(ThreadExecutor(EchoFactory())) as made:
        yield made


@contextmanager
def ray() -> Iterator[Executor]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    from orchestrator.execution.ray import RayExecutor

    with closing(RayExecutor(EchoFactory())) as made:
        yield made


CLUSTER = """\
import ray, sys
found = ray.init(num_cpus=1, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False)
print("address", found.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@contextmanager
def joined_ray() -> Iterator[Executor]:
    """Join a cluster that another process has started, as `--ray-address` does; it wants Ray's token, as by default."""
    os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads it once in a process, when it is imported
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    from orchestrator.execution.ray import RayExecutor

    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as cluster:
        assert cluster.stdout is not None
        lines = (line.split() for line in cluster.stdout)
        address = next(words[1] for words in lines if words and words[0] == "address")
        with closing(RayExecutor(EchoFactory(), address)) as made:
            yield made
        assert cluster.stdin is not None
        assert cluster.poll() is None, "the cluster was not ours to end"
        cluster.stdin.close()


ON_RAY = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture(params=[threads, pytest.param(ray, marks=ON_RAY), pytest.param(joined_ray, marks=ON_RAY)])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    make: Callable[[], AbstractContextManager[Executor]] = request.param
    with make() as made:
        yield made


def device(name: str) -> Device:
    return Device(name, TransportKind.LOCAL)


class Heard:
    """Collects reports from any thread."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.emit = self.reports.put

    def until_ended(self, count: int) -> list[Report]:
        seen: list[Report] = []
        deadline = time.monotonic() + WAIT_S
        while sum(isinstance(report, SessionEnded) for report in seen) < count:
            seen.append(self.reports.get(timeout=max(0.1, deadline - time.monotonic())))
        return seen


def test_every_device_has_a_session_that_hears_its_own_commands(executor: Executor) -> None:
    heard = Heard()
    executor.launch([device("one"), device("two")], heard.emit)
    executor.post("two", Cancel("run-1"))
    executor.post("two", Close())
    executor.post("one", Close())

    seen = heard.until_ended(2)

    assert StepBegan("two", Step.CANCEL, repr(Cancel("run-1"))) in seen
    assert StepBegan("one", Step.CANCEL, repr(Cancel("run-1"))) not in seen
    assert {report.device for report in seen} == {"one", "two"}


def test_devices_that_are_launched_later_are_heard_too(executor: Executor) -> None:
    heard = Heard()
    executor.launch([device("one")], heard.emit)
    executor.post("one", Close())
    heard.until_ended(1)
    executor.launch([device("two")], heard.emit)
    executor.post("two", Cancel("run-1"))
    executor.post("two", Close())
    assert StepBegan("two", Step.CANCEL, repr(Cancel("run-1"))) in heard.until_ended(1)


def test_a_device_whose_session_has_ended_is_launched_again_to_be_rescued(executor: Executor) -> None:
    heard = Heard()
    executor.launch([device("one"), device("two")], heard.emit)
    executor.post("one", Close())
    heard.until_ended(1)
    executor.launch([device("one")], heard.emit, Rescue(Rung.POWER_CYCLE))
    executor.post("one", Close())
    assert StepBegan("one", Step.CONNECT, "power-cycle") in heard.until_ended(1)
    executor.post("two", Close())
    assert [report.device for report in heard.until_ended(1) if isinstance(report, SessionEnded)] == ["two"]


def test_commands_arrive_in_order_and_at_once_while_another_session_is_busy(executor: Executor) -> None:
    """One device keeps its session from hearing anything; the other's commands do not wait for it, nor for reports."""
    heard = Heard()
    executor.launch([device("busy"), device("one")], heard.emit)
    while heard.reports.get(timeout=WAIT_S) != StepBegan("one", Step.CONNECT):
        pass
    commands = [Cancel(f"run-{number}") for number in range(12)]
    began = time.monotonic()
    for command in commands:
        executor.post("one", command)
    echoed = [heard.reports.get(timeout=WAIT_S) for _ in commands]
    took_s = time.monotonic() - began

    assert echoed == [StepBegan("one", Step.CANCEL, repr(command)) for command in commands]
    assert took_s < AT_ONCE_S
    executor.post("busy", Close())
    executor.post("one", Close())
    assert len([report for report in heard.until_ended(2) if isinstance(report, SessionEnded)]) == 2


def test_a_device_that_fails_does_not_end_the_others(executor: Executor) -> None:
    heard = Heard()
    executor.launch([device("unreachable"), device("defective"), device("fine")], heard.emit)
    executor.post("fine", Close())

    ended = {report.device: report.error for report in heard.until_ended(3) if isinstance(report, SessionEnded)}

    assert ended["fine"] is None
    assert isinstance(ended["unreachable"], Unreachable)
    assert ended["unreachable"].hint == "is it on?"
    assert "unexpected ZeroDivisionError" in str(ended["defective"])


def test_close_ends_sessions_that_were_not_told_to(executor: Executor) -> None:
    heard = Heard()
    executor.launch([device("one"), device("two")], heard.emit)
    executor.close()
    executor.close()
    assert len([report for report in heard.until_ended(2) if isinstance(report, SessionEnded)]) == 2


def test_a_session_that_has_ended_ignores_commands(executor: Executor) -> None:
    heard = Heard()
    executor.launch([device("unreachable"), device("one")], heard.emit)
    executor.post("unreachable", Cancel("run-1"))
    executor.post("one", Close())
    assert len(heard.until_ended(2)) >= 2


@pytest.mark.system
def test_a_ray_that_takes_too_long_to_start_is_told_with_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises a bare Exception then; what brings it about, an overloaded machine, cannot be had at will."""
    ray_package = pytest.importorskip("ray", reason="Ray is not installed: pip install 'benchfleet[ray]'")
    from orchestrator.execution.ray import RayExecutor, RayUnavailable

    def never_ready(**_options: object) -> None:
        raise Exception("The current node timed out during startup. Some of the raylet failed to startup.\n...")

    monkeypatch.setattr(ray_package, "init", never_ready)
    made = RayExecutor(EchoFactory())
    with pytest.raises(RayUnavailable, match="does not answer at a local cluster: The current node timed out") as told:
        made.launch([device("pi-03")], lambda _report: None)
    assert told.value.hint
    made.close()
