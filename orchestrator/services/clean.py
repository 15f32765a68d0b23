"""Clear devices of what nobody needs, all at once; never of a log that the database lacks."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from device_worker.protocol.vocabulary import RunState as DeviceLogState
from orchestrator.domain.cleaning import Cleaning, CleanOrder, Kind, StockedRun, Thing
from orchestrator.domain.conversation import (
    Clean,
    Cleaned,
    Close,
    FactsReported,
    Report,
    SessionEnded,
    Step,
    StockTaken,
    TakeStock,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, StoreError
from orchestrator.domain.run import Offset
from orchestrator.execution.base import Executor


class Offsets(Protocol):
    """The role of the database that cleaning needs."""

    def offset(self, run: str, device: str) -> Offset:
        """Return how far the device's log is committed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants gone; `force` asks of each run that is not safe in the database whether it may go too."""

    cache: bool = True
    runs: bool = True
    force: bool = False
    dry_run: bool = False


Agreed = Callable[[str, Thing], bool]
"""Asks whether a run of a device may go although its log, or some of it, is nowhere else."""


def clean_devices(
    devices: Sequence[Device], store: Offsets, executor: Executor, wish: Wish, agreed: Agreed
) -> dict[str, Cleaning | DeviceError]:
    """Return what came of each device, in their order; a busy one is left alone and is an error that says by whom."""
    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    answers: dict[str, Cleaning | DeviceError] = {}
    kept_runs: dict[str, list[Thing]] = {}
    waiting = {device.name for device in devices}
    try:
        executor.launch(devices, reports.put)
        while waiting:
            report = reports.get()
            match report:
                case FactsReported():
                    executor.post(report.device, TakeStock())
                case StockTaken():
                    try:
                        runs, kept_runs[report.device] = _sort_out(report, store, wish, agreed)
                    except StoreError as error:  # what is done elsewhere is done, and is told
                        answers[report.device] = _unknown(report.device, error)
                        executor.post(report.device, Close())
                        continue
                    executor.post(report.device, Clean(CleanOrder(tuple(runs), wish.cache, wish.dry_run)))
                case Cleaned():
                    kept = (*kept_runs[report.device], *report.kept)
                    answers[report.device] = Cleaning(report.removed, kept)
                    executor.post(report.device, Close())
                case SessionEnded():
                    waiting.discard(report.device)
                    if report.error is not None:
                        answers.setdefault(report.device, report.error)
    finally:
        executor.close()
    return {device.name: answers[device.name] for device in devices}


def _unknown(device: str, error: StoreError) -> DeviceError:
    """Return what is told of a device of which nobody can say what the database has."""
    return DeviceError(error.message, error.hint, device=device, step=Step.CLEAN)


def reason_to_keep(run: StockedRun, offset: Offset) -> str | None:
    """Return why a run's folder must stay, given how far the database has its log; None if it may go."""
    if run.state == DeviceLogState.RUNNING:
        return "it is running"
    if run.damaged:
        return f"{run.damaged} of its logs were set aside as damaged"
    if run.last_seq is None:
        return None  # it never wrote a record
    if run.state != DeviceLogState.FINISHED:
        return f"it broke off: benchfleet runs resume {run.run}, or cancel it"
    if offset.log_id != run.log_id:
        return "this database does not have its log"
    if offset.last_seq != run.last_seq:
        return f"this database has {offset.last_seq} of its {run.last_seq} records: benchfleet runs follow {run.run}"
    return None


def _sort_out(stock: StockTaken, store: Offsets, wish: Wish, agreed: Agreed) -> tuple[list[StockedRun], list[Thing]]:
    """Return the runs that may go, and those that stay."""
    going: list[StockedRun] = []
    staying: list[Thing] = []
    for run in stock.runs if wish.runs else ():
        reason = reason_to_keep(run, store.offset(run.run, stock.device))
        thing = Thing(Kind.RUN, run.run, run.size_bytes, reason)
        if reason is None or (wish.force and (wish.dry_run or agreed(stock.device, thing))):
            going.append(run)
        else:
            staying.append(thing)
    return going, staying
