"""List and remove files on a device through the worker, and check the worker's answers."""

from __future__ import annotations

from typing import Any

from device_worker.protocol.vocabulary import Message
from orchestrator.domain.cleaning import CleanOrder, Item, ItemKind, StockedRun
from orchestrator.domain.errors import WorkerFailed
from orchestrator.session import answers
from orchestrator.session.worker_client import WorkerClient

CLEAN_TIMEOUT_S = 600.0
"""Gigabytes of small files take an SD card minutes to remove."""


def stock(client: WorkerClient) -> tuple[StockedRun, ...]:
    """Return the runs on the device. Raise WorkerFailed for a malformed answer."""
    answer = client.ask({"type": Message.STOCK}, CLEAN_TIMEOUT_S)
    try:
        return tuple(_run(entry) for entry in answer["runs"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerFailed(f"the worker's list of runs makes no sense: {error!r}") from error


def clean(client: WorkerClient, order: CleanOrder) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Carry out a cleaning, and return the removed and the kept things. A dry run removes no file.

    Raise WorkerFailed for a malformed answer.
    """
    runs = [{"run": run.run, "log_id": run.log_id, "last_seq": run.last_seq} for run in order.runs]
    question = {"type": Message.CLEAN, "runs": runs, "cache": order.cache, "dry_run": order.dry_run}
    answer = client.ask(question, CLEAN_TIMEOUT_S)
    try:
        removed = tuple(_item(entry) for entry in answer["removed"])
        kept = tuple(_item(entry, answers.words(entry["reason"])) for entry in answer["kept"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerFailed(f"the worker's answer about cleaning makes no sense: {error!r}") from error
    return removed, kept


def _run(entry: dict[str, Any]) -> StockedRun:
    log_id, last_seq = entry["log_id"], entry["last_seq"]
    return StockedRun(
        run=answers.words(entry["run"]),
        state=answers.words(entry["state"]),
        log_id=None if log_id is None else answers.words(log_id),
        last_seq=None if last_seq is None else _count(last_seq),
        size_bytes=_count(entry["bytes"]),
        damaged=_count(entry["damaged"]),
    )


def _count(said: object) -> int:
    if not answers.is_count(said):
        raise ValueError(f"{said!r} is no count")
    return said


def _item(entry: dict[str, Any], reason: str | None = None) -> Item:
    return Item(ItemKind(entry["kind"]), answers.words(entry["name"]), _count(entry["bytes"]), reason)
