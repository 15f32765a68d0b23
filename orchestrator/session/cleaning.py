"""Ask a worker what lies on its device, and have it removed; what it answers is checked, not believed."""

from __future__ import annotations

from typing import Any

from device_worker.protocol.vocabulary import Message
from orchestrator.domain.cleaning import CleanOrder, Kind, StockedRun, Thing
from orchestrator.domain.errors import WorkerFailed
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
        kept = tuple(_thing(entry, str(entry["reason"])) for entry in answer["kept"])
    except (KeyError, TypeError, ValueError) as error:
        raise WorkerFailed(f"the worker's answer about cleaning makes no sense: {error!r}") from error
    return removed, kept


def _run(entry: dict[str, Any]) -> StockedRun:
    log_id, last_seq = entry["log_id"], entry["last_seq"]
    return StockedRun(
        run=str(entry["run"]),
        state=str(entry["state"]),
        log_id=None if log_id is None else str(log_id),
        last_seq=None if last_seq is None else int(last_seq),
        size_bytes=int(entry["bytes"]),
        damaged=int(entry["damaged"]),
    )


def _thing(entry: dict[str, Any], reason: str | None = None) -> Thing:
    return Thing(Kind(entry["kind"]), str(entry["name"]), int(entry["bytes"]), reason)
