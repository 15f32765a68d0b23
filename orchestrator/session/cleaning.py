"""Ask a worker what lies on its device, and have it removed; what it answers is checked, not believed."""

from __future__ import annotations

from typing import Any

from device_worker.protocol.vocabulary import Message
from orchestrator.domain.cleaning import CleanOrder, Kind, StockedRun, Thing
from orchestrator.domain.errors import WorkerFailed
from orchestrator.session import answers
from orchestrator.session.worker_client import WorkerClient

CLEAN_TIMEOUT_S = 600.0
"""Gigabytes of small files take an SD card minutes to remove."""


def stock(client: WorkerClient) -> tuple[StockedRun, ...]:
    """Return the runs that lie on the device."""
    answer = client.ask({"type": Message.STOCK}, CLEAN_TIMEOUT_S)
    try:
        return tuple(_run(entry) for entry in answer["runs"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerFailed(f"the worker's list of runs makes no sense: {error!r}") from error


def clean(client: WorkerClient, order: CleanOrder) -> tuple[tuple[Thing, ...], tuple[Thing, ...]]:
    """Return what went, or would go, and what stays."""
    runs = [{"run": run.run, "log_id": run.log_id, "last_seq": run.last_seq} for run in order.runs]
    question = {"type": Message.CLEAN, "runs": runs, "cache": order.cache, "dry_run": order.dry_run}
    answer = client.ask(question, CLEAN_TIMEOUT_S)
    try:
        removed = tuple(_thing(entry) for entry in answer["removed"])
        kept = tuple(_thing(entry, answers.words(entry["reason"])) for entry in answer["kept"])
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


def _thing(entry: dict[str, Any], reason: str | None = None) -> Thing:
    return Thing(Kind(entry["kind"]), answers.words(entry["name"]), _count(entry["bytes"]), reason)
