"""Keep the connection of a session: connect, start the worker, and reconnect after a lost link."""

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
from orchestrator.session.step_reporter import StepReporter
from orchestrator.session.worker_client import WorkerClient, WorkerProgram
from orchestrator.transport.base import ARRIVED, Admission, Asker, Connector, Transport

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LinkPolicy:
    """The policy for lost links and busy devices.

    `losses_max`: give up after so many losses in a row, each before the link has held for `stable_s`. The time for a
    single reconnection is `recovery.reconnect_s_max` of the device. `heartbeat_s`: how often a following worker sends
    a sign of life. `busy_pause_s`: the first pause before a busy device is asked again. Each pause is twice the last,
    up to `busy_pause_s_max`.
    """

    losses_max: int = 12
    heartbeat_s: float = 15.0
    stable_s: float = 60.0
    busy_pause_s: float = 2.0
    busy_pause_s_max: float = 30.0


class Link:
    """The connection of a session to a device, reopened after each loss. `close` may be called from any thread."""

    def __init__(
        self,
        device: Device,
        connector: Connector,
        worker: WorkerProgram,
        policy: LinkPolicy,
        reporter: StepReporter,
        *,
        gate: Admission,
    ) -> None:
        self._gate = gate
        self.asker = Asker()
        self._device = device
        self._connector = connector
        self._worker = worker
        self._policy = policy
        self._reporter = reporter
        self.told_to_close = threading.Event()
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._client: WorkerClient | None = None

    def reach(self, action: Callable[[WorkerClient], None]) -> None:
        """Do the first action of a session. Retry a silent device as often as `recovery.connect_retries` allows.

        Raise the DeviceError of the last attempt.
        """
        try:
            action(self._connect(""))
        except DeviceError as failure:
            if not self._worth_retrying(failure) or self._device.recovery.connect_retries == 0:
                raise
            self.disconnect()
            self._seek(Rung.RETRY, failure, action)

    def use(self, action: Callable[[WorkerClient], Result]) -> Result:
        """Do an idempotent action over the open connection, and repeat the action over a new one after each loss.

        Raise the DeviceError of an action that fails for another reason than a lost link, or once the policy gives up.
        """
        losses = 0
        while True:
            opened = time.monotonic()
            try:
                return action(self._client or self._connect(""))
            except DeviceError as failure:
                # A link that has held for a while begins a new count: hours over a poor link are fine.
                losses = 1 if time.monotonic() - opened > self._policy.stable_s else losses + 1
                gives_up = losses >= self._policy.losses_max or self._device.recovery.reconnect_s_max <= 0
                if not self._worth_retrying(failure) or gives_up:
                    raise
                self.disconnect()
                self._seek(Rung.RECONNECT, failure)

    def close(self) -> None:
        """Close the connection at once, even in the middle of an action, and never reconnect."""
        self.told_to_close.set()
        self._gate.dismiss(self.asker)
        with self._lock:
            if self._transport is not None:
                self._transport.close()

    def disconnect(self) -> None:
        """Close the connection for now. The next action connects again."""
        with self._lock:  # take both out under the lock, and close outside: closing may wait for the device
            client, self._client = self._client, None
            transport, self._transport = self._transport, None
        if client is not None:
            client.close()
        if transport is not None:
            transport.close()

    def _seek(self, rung: Rung, failure: DeviceError, action: Callable[[WorkerClient], None] | None = None) -> None:
        """Connect again and do `action`, with retries, and report the attempt as a rung of the recovery ladder."""
        reason = str(failure.at(self._device.name, self._reporter.step))
        self._reporter.climb(rung, reason, lambda: self._try_again(rung, action))

    def _try_again(self, rung: Rung, action: Callable[[WorkerClient], None] | None) -> None:
        import stamina  # here: the import is slow, and most sessions never lose a link

        stamina.instrumentation.set_on_retry_hooks([])  # stamina would log each retry, which is reported as a step

        recovery = self._device.recovery
        began_s = self.asker.own_clock_s()

        def is_worth_it(failure: Exception) -> bool:
            # Not stamina's timeout, which counts the time in the queue for a turn too.
            has_time = rung is Rung.RETRY or self.asker.own_clock_s() - began_s < recovery.reconnect_s_max
            return has_time and self._worth_retrying(failure)

        for attempt in stamina.retry_context(
            on=is_worth_it,
            attempts=recovery.connect_retries if rung is Rung.RETRY else None,
            timeout=None,
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
        self._reporter.begin(Step.CONNECT, detail)
        transport = self._connector.connect(self._device)
        with self._lock:
            self._transport = transport
            if self.told_to_close.is_set():  # close() came while we connected, and saw no transport to close
                transport.close()
        self._reporter.begin(Step.START_WORKER)
        try:
            self._client = self._start_worker(transport)
        except DeviceError:
            self.disconnect()
            raise
        return self._client

    def _start_worker(self, transport: Transport) -> WorkerClient:
        with self._gate.turn(self._device.name, stage=ARRIVED):
            try:
                return WorkerClient.open(transport, self._device, self._worker)
            except BlobDamaged:  # the worker's own archive was damaged on the way: send the archive once more
                return WorkerClient.open(transport, self._device, self._worker)
