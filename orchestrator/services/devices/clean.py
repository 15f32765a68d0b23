"""Clear devices of unneeded files, all devices at once. A log missing in the database stays on the device."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from device_worker.protocol.vocabulary import LogState
from orchestrator.domain.cleaning import Cleaning, CleanOrder, Item, ItemKind, StockedRun
from orchestrator.domain.conversation import (
    Clean,
    Cleaned,
    Close,
    FactsReported,
    SessionEnded,
    SessionReport,
    Step,
    StockTaken,
    TakeStock,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError, DeviceError, StoreError
from orchestrator.domain.inventory import Inventory
from orchestrator.domain.run import Offset
from orchestrator.execution.base import Executor, launches
from orchestrator.store.base import DeviceLogs

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring


@dataclass(frozen=True, slots=True)
class CleaningScope:
    """Name the items to be removed.

    `force`: ask about each run without a safe copy in the database. `dry_run`: remove nothing, and ask nothing.
    """

    cache: bool = True
    runs: bool = True
    force: bool = False
    dry_run: bool = False


Confirm = Callable[[str, Item], bool]
"""Asks whether a run's folder may go from a device, although the only copy of the log goes with the folder."""


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """Ask for devices to be cleared, by name and by selector."""

    names: Sequence[str] = ()
    select: str | None = None
    scope: CleaningScope = field(default_factory=CleaningScope)


def clean(request: CleanRequest, wiring: FleetWiring, confirm: Confirm) -> dict[str, Cleaning | DeviceError]:
    """Clear devices of unneeded files. Return the cleaning or the error of each device, in the order of the request.

    `confirm` is asked under `force` alone. Raise ConfigError for an unknown device, or if the request names no device.
    """
    devices = _named(wiring.inventory(), request)
    return clean_devices(devices, wiring.store.logs, wiring.executor(), request.scope, confirm)


def _named(inventory: Inventory, request: CleanRequest) -> list[Device]:
    """Return devices by name and by selector, each once."""
    if not request.names and request.select is None:
        raise ConfigError("no device is named", "name devices, or pick them: --select EXPR (all picks every one)")
    devices = [inventory.device(name) for name in request.names]
    devices += inventory.select(request.select) if request.select is not None else ()
    return list({device.name: device for device in devices}.values())


def clean_devices(
    devices: Sequence[Device], logs: DeviceLogs, executor: Executor, scope: CleaningScope, confirm: Confirm
) -> dict[str, Cleaning | DeviceError]:
    """Clear the devices together. Return the cleaning or the error of each device, in the order of `devices`.

    A busy device is left alone: its error names the user of the device.
    """
    reports: queue.SimpleQueue[SessionReport] = queue.SimpleQueue()
    answers: dict[str, Cleaning | DeviceError] = {}
    kept_runs: dict[str, list[Item]] = {}
    waiting = {device.name for device in devices}
    begun = launches(devices)
    try:
        executor.launch(begun, reports.put)
        while waiting:
            arrived = reports.get()
            report = arrived.report
            match report:
                case FactsReported():
                    executor.post(arrived.session, TakeStock())
                case StockTaken():
                    # Judged here, not on the device: only the database says which logs are safe.
                    try:
                        runs, kept_runs[report.device] = _sort_out(report, logs, scope, confirm)
                    except StoreError as error:  # other devices may be cleaned by now: their answers must not be lost
                        answers[report.device] = _not_judged(report.device, error)
                        executor.post(arrived.session, Close())
                        continue
                    executor.post(arrived.session, Clean(CleanOrder(tuple(runs), scope.cache, scope.dry_run)))
                case Cleaned():
                    kept = (*kept_runs[report.device], *report.kept)
                    answers[report.device] = Cleaning(report.removed, kept)
                    executor.post(arrived.session, Close())
                case SessionEnded():
                    waiting.discard(report.device)
                    if report.error is not None:
                        # A session that fails after the cleaning does not undo the cleaning.
                        answers.setdefault(report.device, report.error)
    finally:
        executor.end([launch.session for launch in begun])
    return {device.name: answers[device.name] for device in devices}


def _not_judged(device: str, error: StoreError) -> DeviceError:
    """Return the error of a device whose runs could not be looked up in the database."""
    return DeviceError(error.message, error.hint, device=device, step=Step.CLEAN)


def reason_to_keep(run: StockedRun, offset: Offset) -> str | None:
    """Return why a run's folder must stay on the device; None if the folder may go.

    `offset` is the last record of the run's log in the database.
    """
    if run.state == LogState.RUNNING:
        return "it is running"
    if run.damaged:
        return f"{run.damaged} of its logs were set aside as damaged"
    if run.last_seq is None:
        return None  # no record was ever written, so that no measurement can be lost
    if run.state != LogState.FINISHED:
        return f"it broke off: benchfleet runs resume {run.run}, or cancel it"
    # Compared before the numbers: another log of the same run may have as many records.
    if offset.log_id != run.log_id:
        return "this database does not have its log"
    if offset.last_seq != run.last_seq:
        return f"this database has {offset.last_seq} of its {run.last_seq} records: benchfleet runs follow {run.run}"
    return None


def _sort_out(
    stock: StockTaken, logs: DeviceLogs, scope: CleaningScope, confirm: Confirm
) -> tuple[list[StockedRun], list[Item]]:
    """Return the runs to be removed, and the items of the runs to be kept."""
    going: list[StockedRun] = []
    staying: list[Item] = []
    for run in stock.runs if scope.runs else ():
        reason = reason_to_keep(run, logs.offset(run.run, stock.device))
        item = Item(ItemKind.RUN, run.run, run.size_bytes, reason)
        if reason is None or (scope.force and (scope.dry_run or confirm(stock.device, item))):
            going.append(run)
        else:
            staying.append(item)
    return going, staying
