"""Run device sessions in a Ray gateway actor: one process that multiplexes every device of a site.

A Ray process costs about 50 MB and most of a second, so there is never one per device: the gateway runs the very
sessions that `threads` runs, in threads, and hands their reports to the driver in batches. It is placed on the driver's
own node, where the blobs are.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

from orchestrator.domain.conversation import Command, Report, SessionEnded
from orchestrator.domain.device import Device
from orchestrator.domain.errors import GatewayLost, OrchestratorError
from orchestrator.domain.recovery import Rescue
from orchestrator.execution.base import Emit, SessionFactory
from orchestrator.execution.threads import ThreadExecutor

BATCH_MAX = 500
POLL_S = 5.0
OBJECT_STORE_BYTES = 100 << 20
JOIN_HINT = "check --ray-address; a cluster that wants a token needs RAY_AUTH_MODE=token, as `ray status` does"


class RayUnavailable(OrchestratorError):
    """Ray is not installed, or the cluster does not answer."""


class Gateway:
    """The actor's body: a thread executor whose reports wait in a queue until the driver fetches them."""

    def __init__(self, factory: SessionFactory) -> None:
        self._executor = ThreadExecutor(factory)
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()

    def launch(self, devices: Sequence[Device], rescue: Rescue | None) -> None:
        """Begin the sessions."""
        self._executor.launch(devices, self._reports.put, rescue)

    def post(self, device: str, command: Command) -> None:
        """Pass a command to a session."""
        self._executor.post(device, command)

    def reports(self, timeout_s: float) -> list[Report]:
        """Return what came, waiting at most `timeout_s` for the first report."""
        batch: list[Report] = []
        try:
            batch.append(self._reports.get(timeout=timeout_s))
            while len(batch) < BATCH_MAX:
                batch.append(self._reports.get_nowait())
        except queue.Empty:
            pass
        return batch

    def close(self, timeout_s: float) -> None:
        """End the sessions."""
        self._executor.close(timeout_s)


class RayExecutor:
    """Starts a local cluster, or joins the one at `address`; ends what it started."""

    def __init__(self, factory: SessionFactory, address: str | None = None) -> None:
        self._factory = factory
        self._address = address
        self._ray: Any = None
        self._gateway: Any = None
        self._pump: threading.Thread | None = None
        self._live: set[str] = set()
        self._lock = threading.Lock()
        self._started_cluster = False

    def launch(self, devices: Sequence[Device], emit: Emit, rescue: Rescue | None = None) -> None:
        """Begin one session per device in the gateway, which the first call places."""
        if self._ray is None:
            self._ray = self._join_cluster()
            self._gateway = self._place_gateway()
        names = {device.name for device in devices}
        with self._lock:
            self._live |= names
        try:
            self._ray.get(self._gateway.launch.remote(list(devices), rescue))
        except self._ray.exceptions.RayError as error:
            with self._lock:
                self._live -= names
            raise RayUnavailable(f"the Ray gateway did not start: {_first_line(error)}", "see `ray status`") from error
        with self._lock:
            if self._pump is None:
                self._pump = threading.Thread(target=self._pass_on, args=(emit,), name="ray gateway", daemon=True)
                self._pump.start()

    def _place_gateway(self) -> Any:
        ray = self._ray
        node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node_id=ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = ray.remote(num_cpus=0, max_concurrency=4, concurrency_groups={"commands": 1}, scheduling_strategy=node)(
            Gateway
        )
        return actor.remote(self._factory)

    def post(self, device: str, command: Command) -> None:
        """Pass a command on to the gateway."""
        self._gateway.post.options(concurrency_group="commands").remote(device, command)  # in order

    def close(self, timeout_s: float = 10.0) -> None:
        """End the sessions, the gateway, and the cluster if it was started here."""
        if self._ray is None:
            return
        ray, self._ray = self._ray, None
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(ray.exceptions.RayError):  # a gateway that is gone has nothing left to close
            ray.get(self._gateway.close.remote(timeout_s), timeout=timeout_s)
        pump = self._pump
        if pump is not None:
            pump.join(max(0.0, deadline - time.monotonic()) + POLL_S)
        ray.kill(self._gateway)
        if self._started_cluster:
            ray.shutdown()

    def _join_cluster(self) -> Any:
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # the gateway runs in this very environment
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            import ray.util.scheduling_strategies
        except ImportError as error:
            raise RayUnavailable("Ray is not installed", "pip install 'benchfleet[ray]'") from error
        if ray.is_initialized():
            return ray
        local = {} if self._address else {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
        try:
            ray.init(
                address=self._address,
                include_dashboard=None if self._address else False,
                configure_logging=False,
                log_to_driver=False,
                **local,
            )
        except Exception as error:  # Ray has no class of its own for a node that takes too long to start
            where = self._address or "a local cluster"
            hint = JOIN_HINT if self._address else "has this machine memory and processors to spare for Ray?"
            raise RayUnavailable(f"Ray does not answer at {where}: {_first_line(error)}", hint) from error
        self._started_cluster = True
        return ray

    def _pass_on(self, emit: Emit) -> None:
        """Fetch reports until every session has ended; a gateway that dies ends them all."""
        ray, gateway = self._ray, self._gateway
        try:
            while self._has_live():
                for report in ray.get(gateway.reports.remote(POLL_S)):
                    if isinstance(report, SessionEnded):
                        self._live.discard(report.device)
                    emit(report)
        except ray.exceptions.RayError as error:
            for device in sorted(self._live):
                gone = GatewayLost(
                    f"the Ray gateway ended: {_first_line(error)}",
                    "the device goes on by itself: benchfleet runs resume last",
                    device=device,
                )
                emit(SessionEnded(device, gone))

    def _has_live(self) -> bool:
        """Say whether a session goes on; where none does, the next launch starts the pump anew."""
        with self._lock:
            if not self._live:
                self._pump = None
            return bool(self._live)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
