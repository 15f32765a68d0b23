"""Collect runs that have ended on devices left to themselves, so that nobody waits for their leases to run out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from device_worker.protocol.vocabulary import LogState
from orchestrator.domain.conversation import Close, FactsReported, SessionEnded, SessionReport, StockTaken, TakeStock
from orchestrator.domain.device import Device
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.plan.document import remaining_s
from orchestrator.domain.plan.power_time import PowerTime, power_time_of_plan
from orchestrator.execution.base import Executor, launches

if TYPE_CHECKING:
    from orchestrator.services.base import RunWiring
    from orchestrator.store.base import Roles

LOOK_S = 5.0
"""How long a look at devices may take: whoever lists devices waits for no device that is switched off."""
LOOK_AGAIN_S = 20.0
"""Time between two looks of a run in a queue."""

Told = Callable[[str, str], None]
"""Takes the names of a device and of the run that was collected there."""


def collect_ended(devices: Sequence[Device], wiring: RunWiring, told: Told, *, only_due: bool = True) -> None:
    """Collect each run that a controller has left on its own, and that has ended, and give the device back.

    `only_due`: look at a device once its plan should be over, because a look takes time from the trials that run there.
    A device that does not answer, or still runs, is left alone.
    """
    left = _left(devices, wiring.store, only_due=only_due)
    looked_at = [device for device in devices if device.name in left]
    ended = _ended(looked_at, left, wiring.executor()) if looked_at else frozenset()
    for run in sorted({left[name] for name in ended}):
        _follow(run, [device for device in looked_at if device.name in ended and left[device.name] == run], wiring)
    for name in sorted(ended):
        told(name, left[name])


@contextmanager
def collecting(devices: Sequence[Device], wiring: RunWiring, told: Told) -> Iterator[None]:
    """Collect ended runs now and then, in a thread, for a run that queues for the devices."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_AGAIN_S):
            # The queue goes on without the look, and the database's own failure ends the run elsewhere.
            with suppress(OrchestratorError):
                collect_ended(devices, wiring, told)

    thread = threading.Thread(target=look, name="collect ended runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _left(devices: Sequence[Device], store: Roles, *, only_due: bool) -> Mapping[str, str]:
    """Return by device the run left on its own there."""
    by_name = {device.name: device for device in devices}
    holdings = store.leases.holdings(list(by_name))
    return {
        name: lease.run
        for name, holding in holdings.items()
        for lease in holding.held
        if lease.run is not None and lease.left_at is not None
        if not only_due or _should_be_over(lease.run, by_name[name], lease.left_at, store)
    }


def _should_be_over(run: str, device: Device, left_at: datetime, store: Roles) -> bool:
    document = store.plans.plan_document(run, device.name)
    if document is None:
        return False
    # Nobody has collected any trial since the controller left.
    known = store.devices.latest_facts([device.name]).get(device.name)
    power = PowerTime() if known is None else power_time_of_plan(document, device, known[0])
    left_s = remaining_s(document, store.progress.done_trials(run, device.name, retry_failed=False), power)
    return left_at + timedelta(seconds=left_s) <= datetime.now(UTC)


def _ended(devices: Sequence[Device], runs: Mapping[str, str], executor: Executor) -> frozenset[str]:
    """Return the devices whose run is there, and does not run any more."""
    reports: queue.SimpleQueue[SessionReport] = queue.SimpleQueue()
    waiting = {device.name for device in devices}
    ended: set[str] = set()
    begun = launches(devices)
    deadline = time.monotonic() + LOOK_S
    try:
        executor.launch(begun, reports.put)
        while waiting:
            try:
                arrived = reports.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            report = arrived.report
            match report:
                case FactsReported():
                    executor.post(arrived.session, TakeStock())
                case StockTaken():
                    state = {one.run: one.state for one in report.runs}.get(runs[report.device], LogState.RUNNING)
                    if state != LogState.RUNNING:
                        ended.add(report.device)
                    executor.post(arrived.session, Close())
                case SessionEnded():
                    waiting.discard(report.device)
    finally:
        executor.end([launch.session for launch in begun])
    return frozenset(ended)


def _follow(run: str, devices: Sequence[Device], wiring: RunWiring) -> None:
    # Imported here: a list of devices that are all free must not wait for the imports of the driver.
    from orchestrator.driving.driver import Driver, DriverTools, Intent
    from orchestrator.reporting.live.progress import SilentDisplay

    record = wiring.store.runs.find_run(run)
    assert record is not None
    planner = wiring.planner_of(record.header)
    tools = DriverTools(wiring.store, wiring.executor(), SilentDisplay(), planner, wiring.identity())
    Driver(run, Intent.FOLLOW, tools).drive(devices)
