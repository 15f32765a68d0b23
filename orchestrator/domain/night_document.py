"""Turn a night's report into plain data for the database, and back. Charts are left out: other nights have them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, TypeVar

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.measurement import Cell
from orchestrator.domain.night import (
    Basis,
    CanaryShift,
    CanaryValue,
    CellMemory,
    LostDevice,
    NightCell,
    NightEstimate,
    NightReport,
    NightRun,
    NightStage,
    NightState,
    NightVerdict,
)

_T = TypeVar("_T")


def to_document(report: NightReport) -> Mapping[str, Any]:
    """Return a report as plain data."""
    cells = [replace(cell, history=()) for cell in report.cells]
    document: Mapping[str, Any] = _plain(replace(report, cells=tuple(cells)))
    return document


def from_document(document: Mapping[str, Any]) -> NightReport:
    """Return the report of plain data. Raise KeyError, TypeError or ValueError for data of another kind.

    Keys of another release are left out, and keys unknown to another release have defaults.
    """
    code, ended_at = document["exit_code"], document["ended_at"]
    return _made(
        NightReport,
        document,
        began_at=datetime.fromisoformat(document["began_at"]),
        ended_at=None if ended_at is None else datetime.fromisoformat(ended_at),
        state=NightState(document["state"]),
        exit_code=None if code is None else ExitCode(code),
        cells=tuple(_cell(one) for one in document["cells"]),
        lost=tuple(_made(LostDevice, one, stage=NightStage(one["stage"])) for one in document.get("lost", ())),
        canaries=tuple(_made(CanaryShift, one) for one in document.get("canaries", ())),
        canary_values=tuple(_made(CanaryValue, one) for one in document.get("canary_values", ())),
        runs=tuple(_made(NightRun, one, stage=NightStage(one["stage"])) for one in document.get("runs", ())),
        **_tuples(document, "candidate", "baseline", "devices", "notes"),
    )


def _cell(document: Mapping[str, Any]) -> NightCell:
    estimate, memory = document.get("estimate"), document.get("memory")
    return _made(
        NightCell,
        document,
        cell=_made(Cell, document["cell"]),
        verdict=NightVerdict(document["verdict"]),
        estimate=None if estimate is None else _made(NightEstimate, estimate, basis=Basis(estimate["basis"])),
        memory=None if memory is None else _made(CellMemory, memory),
        history=(),
        **_tuples(document, "set_aside", "baseline_runs", "candidate_runs"),
    )


def _made(kind: type[_T], document: Mapping[str, Any], **read: Any) -> _T:
    """Return a value from the fields in a document. `read` are the fields beyond plain data."""
    # Fields of a later release are left out, and fields that an earlier one lacked take the defaults.
    known = {field.name: document[field.name] for field in fields(kind) if field.name in document}  # type: ignore[arg-type]
    return kind(**{**known, **read})


def _tuples(document: Mapping[str, Any], *names: str) -> Mapping[str, tuple[Any, ...]]:
    return {name: tuple(document[name]) for name in names if name in document}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, ExitCode):
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None  # no database takes such a number in JSON
    return str(value) if isinstance(value, NightState | NightStage | NightVerdict | Basis) else value
