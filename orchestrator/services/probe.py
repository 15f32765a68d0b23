"""Ask devices what they are, all at once, and keep what they say."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.domain.conversation import Close, FactsReported, Report, SessionEnded
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, StoreError, WorkerFailed
from orchestrator.domain.facts import Facts
from orchestrator.execution.base import Executor
from orchestrator.store.base import DeviceRecords


def probe_devices(
    devices: Sequence[Device], store: DeviceRecords, executor: Executor
) -> dict[str, Facts | DeviceError]:
    """Return what each device said, in their order, or why it said nothing: a value, never an exception."""
    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    by_name = {device.name: device for device in devices}
    answers: dict[str, Facts | DeviceError] = {}
    waiting = set(by_name)
    try:
        executor.launch(devices, reports.put)
        while waiting:
            report = reports.get()
            if isinstance(report, FactsReported):
                stored = store.save_snapshots([(by_name[report.device], report.facts)], datetime.now(UTC))
                refused = stored[report.device]
                answers[report.device] = (
                    WorkerFailed(refused.message, refused.hint) if isinstance(refused, StoreError) else report.facts
                )
                executor.post(report.device, Close())
            elif isinstance(report, SessionEnded):
                waiting.discard(report.device)
                if report.error is not None:
                    answers.setdefault(report.device, report.error)
    finally:
        executor.close()
    return {name: answers[name] for name in by_name}
