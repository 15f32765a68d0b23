"""Ask devices for their facts, all at once, and store the facts."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.domain.conversation import Close, FactsReported, SessionEnded, SessionReport
from orchestrator.domain.device import Device, Limits
from orchestrator.domain.errors import DeviceError, StoreError, WorkerFailed
from orchestrator.domain.facts import Facts
from orchestrator.execution.base import Executor, launches
from orchestrator.store.base import DeviceRecords

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring


@dataclass(frozen=True, slots=True)
class Probing:
    """Hold the facts or the error of each device, the limits for its facts, and the facts on record before.

    `gpus` has the GPU that the inventory asks for, of devices with one.
    """

    answers: Mapping[str, Facts | DeviceError]
    limits: Mapping[str, Limits]
    before: Mapping[str, Facts]
    gpus: Mapping[str, int]


def probe(select: str, wiring: FleetWiring) -> Probing:
    """Ask the selected devices for their facts, and store the facts. A failing device is an error in the answers."""
    devices = wiring.inventory().select(select)
    records = wiring.store.devices
    before = {name: facts for name, (facts, _) in records.latest_facts([device.name for device in devices]).items()}
    answers = probe_devices(devices, records, wiring.executor())
    gpus = {device.name: device.gpu for device in devices if device.gpu is not None}
    return Probing(answers, {device.name: device.limits for device in devices}, before, gpus)


def probe_devices(
    devices: Sequence[Device], records: DeviceRecords, executor: Executor
) -> dict[str, Facts | DeviceError]:
    """Ask the devices for their facts, all at once, and store the facts.

    Return the facts or the error of each device, in the order of `devices`. No device's failure is raised.
    """
    reports: queue.SimpleQueue[SessionReport] = queue.SimpleQueue()
    by_name = {device.name: device for device in devices}
    answers: dict[str, Facts | DeviceError] = {}
    waiting = set(by_name)
    begun = launches(devices)
    try:
        executor.launch(begun, reports.put)
        while waiting:
            arrived = reports.get()
            report = arrived.report
            if isinstance(report, FactsReported):
                # Stored as each device answers: a probe that is interrupted keeps the facts that have come.
                stored = records.save_snapshots([(by_name[report.device], report.facts)], datetime.now(UTC))
                refused = stored[report.device]
                answers[report.device] = (
                    WorkerFailed(refused.message, refused.hint) if isinstance(refused, StoreError) else report.facts
                )
                executor.post(arrived.session, Close())
            elif isinstance(report, SessionEnded):
                waiting.discard(report.device)
                if report.error is not None:
                    # The facts are stored: a session that fails afterwards takes nothing from the answer.
                    answers.setdefault(report.device, report.error)
    finally:
        # After Ctrl-C too: a session that nobody waits for would keep its connection and its place on the device.
        executor.end([launch.session for launch in begun])
    return {name: answers[name] for name in by_name}
