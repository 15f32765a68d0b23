"""Run device sessions in a Ray gateway actor: a single process for every device of a site.

A Ray process costs about 50 MB and most of a second: no device has a separate process. The gateway runs the
same sessions as `threads`, in threads, and hands the reports to the driver in batches. The gateway is placed on the
driver's own node, where the blobs are.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Collection, Sequence
from typing import Any

from orchestrator.cluster.joining import first_line, join_cluster
from orchestrator.domain.conversation import Close, Command, SessionEnded, SessionId, SessionReport
from orchestrator.domain.errors import GatewayLost, RayUnavailable
from orchestrator.execution.base import Launch, Listen, SessionFactory
from orchestrator.execution.threads import ThreadExecutor

BATCH_MAX = 500
POLL_S = 5.0


class Gateway:
    """Run sessions inside the actor, and queue the reports until the controller fetches the queue."""

    def __init__(self, factory: SessionFactory) -> None:
        self._executor = ThreadExecutor(factory)
        self._reports: queue.SimpleQueue[SessionReport] = queue.SimpleQueue()
        self._next_number = 0
        self._early: dict[int, tuple[SessionId, Command]] = {}

    def launch(self, launches: Sequence[Launch]) -> None:
        """Begin the sessions."""
        self._executor.launch(launches, self._reports.put)

    def post(self, number: int, session: SessionId, command: Command) -> None:
        """Pass a command to a session, once all commands with lower numbers have been passed on."""
        # Ray may begin calls in another order than the order of their making, even with one thread for them.
        self._early[number] = session, command
        while self._next_number in self._early:
            self._executor.post(*self._early.pop(self._next_number))
            self._next_number += 1

    def reports(self, timeout_s: float) -> list[SessionReport]:
        """Return the new reports, after a wait of at most `timeout_s` for the first report."""
        batch: list[SessionReport] = []
        try:
            batch.append(self._reports.get(timeout=timeout_s))
            while len(batch) < BATCH_MAX:
                batch.append(self._reports.get_nowait())
        except queue.Empty:
            pass
        return batch


class RayExecutor:
    """Run sessions in a gateway on a Ray cluster: a separate local cluster, or the cluster at `address`."""

    def __init__(self, factory: SessionFactory, address: str | None = None) -> None:
        self._factory = factory
        self._address = address
        self._ray: Any = None
        self._gateway: Any = None
        self._numbers = itertools.count()
        self._pump: threading.Thread | None = None
        self._listeners: dict[SessionId, Listen] = {}
        self._overdue: set[SessionId] = set()
        self._changed = threading.Condition()
        self._started_cluster = False

    def launch(self, launches: Sequence[Launch], listen: Listen) -> None:
        """Begin sessions in the gateway. The first call places a gateway, and so does a call after its death."""
        with self._changed:  # runs share an executor: two first calls must not place two gateways
            if self._ray is None:
                self._ray, joined = join_cluster(self._address)
                self._started_cluster = self._started_cluster or joined
            if self._gateway is None:
                self._gateway = self._place_gateway(self._ray)
                self._numbers = itertools.count()
            ray, gateway = self._ray, self._gateway
            self._listeners.update({launch.session: listen for launch in launches})
            if self._pump is None:
                self._pump = threading.Thread(
                    target=self._pass_on, args=(ray, gateway), name="ray gateway", daemon=True
                )
                self._pump.start()
        try:
            ray.get(gateway.launch.remote(list(launches)))
        except ray.exceptions.RayError as error:
            for launch in launches:
                self._forget(launch.session)
            if not isinstance(error, ray.exceptions.RayTaskError):  # a call that failed inside leaves the gateway alive
                self._lose(ray, gateway, error)
            raise RayUnavailable(f"the Ray gateway did not start: {first_line(error)}", "see `ray status`") from error

    def _place_gateway(self, ray: Any) -> Any:
        node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node_id=ray.get_runtime_context().get_node_id(), soft=False
        )
        # No processor is reserved: the gateway mostly waits, and must find room on a busy node. Several calls at once,
        # since a launch must not queue behind the call that waits for reports. Commands are one at a time: the gateway
        # puts commands in order without a lock.
        actor = ray.remote(num_cpus=0, max_concurrency=4, concurrency_groups={"commands": 1}, scheduling_strategy=node)(
            Gateway
        )
        return actor.remote(self._factory)

    def post(self, session: SessionId, command: Command) -> None:
        """Pass a command on to the gateway. Sessions of a dead gateway ignore commands."""
        with self._changed:
            gateway, number = self._gateway, next(self._numbers)
        if gateway is not None:
            gateway.post.options(concurrency_group="commands").remote(number, session, command)

    def end(self, sessions: Collection[SessionId], timeout_s: float = 10.0) -> None:
        """Close sessions, and wait at most `timeout_s` for the reports of all ends."""
        with self._changed:
            ending = [one for one in sessions if one in self._listeners and one not in self._overdue]
        for session in ending:
            self.post(session, Close())
        with self._changed:  # here rather than in the gateway, where a wait would keep other runs from theirs
            self._changed.wait_for(lambda: self._listeners.keys().isdisjoint(ending), timeout_s)
            # A session that hangs has had its time: whoever closes the executor does not wait for it again.
            self._overdue.update(self._listeners.keys() & set(ending))

    def close(self, timeout_s: float = 10.0) -> None:
        """End the sessions, the gateway, and a cluster started here."""
        if self._ray is None:
            return
        with self._changed:
            ray, self._ray = self._ray, None
            gateway, pump, sessions = self._gateway, self._pump, list(self._listeners)
        if gateway is not None:  # a gateway that has died has nothing left to close
            self.end(sessions, timeout_s)
            ray.kill(gateway)
            if pump is not None:
                pump.join(POLL_S)  # its sessions that hang end by the gateway's death
            with self._changed:
                if self._gateway is gateway:
                    self._gateway = self._pump = None
        if self._started_cluster:
            ray.shutdown()

    def _pass_on(self, ray: Any, gateway: Any) -> None:
        """Fetch reports until every session has ended. A dead gateway ends all sessions."""
        try:
            while self._has_live(gateway):
                for report in ray.get(gateway.reports.remote(POLL_S)):
                    self._tell(report)
        except ray.exceptions.RayError as error:
            self._lose(ray, gateway, error)

    def _lose(self, ray: Any, gateway: Any, error: BaseException) -> None:
        """Give up a silent gateway, and end the gateway's sessions. The next launch places a new gateway."""
        with self._changed:
            if self._gateway is not gateway:  # noticed before, by the pump or by another launch
                return
            # In one step: sessions that are launched from here on belong to the next gateway, and go on.
            self._gateway = self._pump = None
            lost = sorted(self._listeners, key=lambda session: session.device)
        ray.kill(gateway)  # a gateway that only lost its link must not go on writing to devices unheard
        for session in lost:
            gone = GatewayLost(
                f"the Ray gateway ended: {first_line(error)}",
                "the device goes on by itself: benchfleet runs resume last",
                device=session.device,
            )
            self._tell(SessionReport(session, SessionEnded(session.device, gone)))

    def _tell(self, report: SessionReport) -> None:
        """Pass a report on to the session's listener."""
        listen = self._listeners.get(report.session)
        if listen is None:
            return
        listen(report)
        if isinstance(report.report, SessionEnded):
            self._forget(report.session)

    def _forget(self, session: SessionId) -> None:
        with self._changed:
            self._listeners.pop(session, None)
            self._overdue.discard(session)
            self._changed.notify_all()

    def _has_live(self, gateway: Any) -> bool:
        """Say whether any session of the gateway goes on. If none does, the next launch starts a new pump."""
        with self._changed:
            if self._gateway is not gateway:
                return False
            if not self._listeners:
                self._pump = None
            return bool(self._listeners)
