"""Declare what an export has: columns with their kinds, rows of measurements, and blocks of raw samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ColumnKind(StrEnum):
    """Name the kinds of columns, which every format writes in its own way."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"


class ExportFormat(StrEnum):
    """Name the formats of an export."""

    PARQUET = "parquet"
    CSV = "csv"


class SampleFormat(StrEnum):
    """Name the formats of the raw samples of cells. `npz` is a file of numpy's arrays."""

    CSV = "csv"
    NPZ = "npz"
    PARQUET = "parquet"


K = ColumnKind
MEASUREMENTS: Mapping[str, ColumnKind] = {
    "run_started_at": K.TIME,
    "model": K.TEXT,
    "variant": K.TEXT,
    "runtime": K.TEXT,
    "settings": K.TEXT,
    "series_id": K.INTEGER,
    "trial": K.TEXT,
    "kind": K.TEXT,
    "trial_index": K.INTEGER,
    "attempt_id": K.INTEGER,
    "ordinal": K.INTEGER,
    "counted": K.BOOLEAN,
    "invalid": K.TEXT,
    "started_at": K.TIME,
    "stored_at": K.TIME,
    "duration_ns": K.INTEGER,
    "metric": K.TEXT,
    "unit": K.TEXT,
    "value": K.NUMBER,
    "n": K.INTEGER,
    "batch": K.INTEGER,
    "p50": K.NUMBER,
    "p50_ci_low": K.NUMBER,
    "p50_ci_high": K.NUMBER,
    "p90": K.NUMBER,
    "p99": K.NUMBER,
    "p99_9": K.NUMBER,
    "mean": K.NUMBER,
    "sd": K.NUMBER,
    "mad": K.NUMBER,
    "min": K.NUMBER,
    "max": K.NUMBER,
    "source": K.TEXT,
    "model_sha256": K.TEXT,
    "runtime_sha256": K.TEXT,
    "worker_sha256": K.TEXT,
    "identity_hash": K.TEXT,
    "environment_hash": K.TEXT,
}
"""The columns of measurements, beside `run` and `device`, which are folders."""

SAMPLES: Mapping[str, ColumnKind] = {
    "model": K.TEXT,
    "variant": K.TEXT,
    "runtime": K.TEXT,
    "settings": K.TEXT,
    "series_id": K.INTEGER,
    "trial_index": K.INTEGER,
    "attempt_id": K.INTEGER,
    "metric": K.TEXT,
    "unit": K.TEXT,
    "batch": K.INTEGER,
    "position": K.INTEGER,
    "value": K.INTEGER,
}
"""The columns of raw samples. `position` counts from 0 within an attempt's metric; `value` is in the metric's unit."""

CELL_SAMPLES: Mapping[str, ColumnKind] = {"run": K.TEXT, "device": K.TEXT, **SAMPLES}
"""The columns of the raw samples of cells, whose file has no folders to name run and device."""


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Hold all samples of one metric of one attempt: the values of the columns that are the same, and the samples.

    `samples` is an array of whole numbers.
    """

    same: tuple[Any, ...]
    samples: Any
