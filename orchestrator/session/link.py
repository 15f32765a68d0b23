"""Keep a device within reach of one session: connect, start its worker, and seek it again when the link is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.domain.conversation import Step
from orchestrator.domain.device import Device
from orchestrator.domain.errors import BlobDamaged, DeviceError
from orchestrator.domain.recovery import Rung
from orchestrator.session.teller import Teller
from orchestrator.session.worker_client import WorkerClient, WorkerProgram
from orchestrator.transport.base import Connector, Transport

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """How a lost link is sought again, and how often the device says that it is still there.

    How long, the device's own `recovery` says. A link that is lost `losses_max` times in a row, each time before it has
    held for `stable_s`, is given up all the same. A device that somebody else uses is asked again after `busy_pause_s`,
    and less and less often.
    """

    losses_max: int = 12
    heartbeat_s: float = 15.0
    stable_s: float = 60.0
    busy_pause_s: float = 2.0
    busy_pause_s_max: float = 30.0


class Link:
    """The connection of one session to its device, over as many links as it takes; `close` may come from any thread."""

    def __init__(
        self, device: Device, connector: Connector, worker: WorkerProgram, policy: LinkPolicy, teller: Teller
    ) -> None:
        self._device = device
        self._connector = connector
        self._worker = worker
        self._policy = policy
        self._teller = teller
        self.told_to_close = threading.Event()
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._client: WorkerClient | None = None

    def reach(self, action: Callable[[WorkerClient], None]) -> None:
        """Do the first thing of a session; a device that does not answer is tried as often as its inventory says."""
        try:
            action(self._connect(""))
        except DeviceError as failure:
            if not self._worth_retrying(failure) or self._device.recovery.retries == 0:
                raise
            self.disconnect()
            self._seek(Rung.RETRY, failure, action)

    def use(self, action: Callable[[WorkerClient], Result]) -> Result:
        """Do an idempotent action over the open connection, or over new ones while they are lost.

        A connection that held for `stable_s` clears the count of losses: hours over a poor link are fine.
        """
        losses = 0
        while True:
            opened = time.monotonic()
            try:
                return action(self._client or self._connect(""))
            except DeviceError as failure:
                losses = 1 if time.monotonic() - opened > self._policy.stable_s else losses + 1
                gives_up = losses >= self._policy.losses_max or self._device.recovery.reconnect_s_max <= 0
                if not self._worth_retrying(failure) or gives_up:
                    raise
                self.disconnect()
                self._seek(Rung.RECONNECT, failure)

    def close(self) -> None:
        """Seek the device no more, and drop the connection at once, whatever it is used for."""
        self.told_to_close.set()
        with self._lock:
            if self._transport is not None:
                self._transport.close()

    def disconnect(self) -> None:
        """Leave the device; the next use connects anew."""
        with self._lock:
            client, self._client = self._client, None
            transport, self._transport = self._transport, None
        if client is not None:
            client.close()
        if transport is not None:
            transport.close()

    def _seek(self, rung: Rung, failure: DeviceError, action: Callable[[WorkerClient], None] | None = None) -> None:
        """Connect again, and do what was wanted, going on trying for a while."""
        reason = str(failure.at(self._device.name, self._teller.step))
        self._teller.climb(rung, reason, lambda: self._try_again(rung, action))

    def _try_again(self, rung: Rung, action: Callable[[WorkerClient], None] | None) -> None:
        import stamina  # only a link that was lost, or may be, is worth its import

        stamina.instrumentation.set_on_retry_hooks([])  # it would log what we report as a step

        recovery = self._device.recovery
        for attempt in stamina.retry_context(
            on=self._worth_retrying,
            attempts=recovery.retries if rung is Rung.RETRY else None,
            timeout=None if rung is Rung.RETRY else recovery.reconnect_s_max,
            wait_initial=0.2,
            wait_max=15.0,
        ):
            with attempt:
                self.disconnect()
                client = self._connect(f"attempt {attempt.num + 1}")
                if action is not None:
                    action(client)

    def _worth_retrying(self, failure: Exception) -> bool:
        return isinstance(failure, DeviceError) and failure.retryable and not self.told_to_close.is_set()

    def _connect(self, detail: str) -> WorkerClient:
        self._teller.begin(Step.CONNECT, detail)
        transport = self._connector.connect(self._device)
        with self._lock:
            self._transport = transport
            if self.told_to_close.is_set():
                transport.close()
        self._teller.begin(Step.START_WORKER)
        try:
            self._client = self._start_worker(transport)
        except DeviceError:
            self.disconnect()
            raise
        return self._client

    def _start_worker(self, transport: Transport) -> WorkerClient:
        try:
            return WorkerClient.open(transport, self._device, self._worker)
        except BlobDamaged:  # the worker itself, shipped to a device for the first time
            return WorkerClient.open(transport, self._device, self._worker)
