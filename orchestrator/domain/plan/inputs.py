"""Describe declared inputs as plans have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """Hold a file of a job. The trial's folder has the file under `name`."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ShippedInput:
    """Hold the declaration of an input. Plans of older controllers have the range alone.

    The range is None where nobody draws: of text, and of an input from a file.
    """

    low: float | None
    high: float | None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    from_output: str | None = None
    file: ShippedFile | None = None


def write_input(declared: ShippedInput) -> dict[str, Any]:
    """Return a declaration as plans have it."""
    document: dict[str, Any] = {}
    if declared.low is not None:
        document |= {"low": declared.low, "high": declared.high}
    if declared.shape is not None:
        document |= {"shape": list(declared.shape), "dtype": declared.dtype}
    if declared.from_output is not None:
        document["from_output"] = declared.from_output
    if declared.file is not None:
        document["file"] = write_file(declared.file)
    return document


def read_input(declared: Mapping[str, Any]) -> ShippedInput:
    """Return the declaration in a plan."""
    shape, file = declared.get("shape"), declared.get("file")
    return ShippedInput(
        declared.get("low"),
        declared.get("high"),
        None if shape is None else tuple(shape),
        declared.get("dtype"),
        declared.get("from_output"),
        None if file is None else read_file(file),
    )


def write_file(file: ShippedFile) -> dict[str, Any]:
    """Return a file as plans have it."""
    return {"name": file.name, "sha256": file.sha256, "size": file.size}


def read_file(file: Mapping[str, Any]) -> ShippedFile:
    """Return a file of a plan."""
    return ShippedFile(file["name"], file["sha256"], file["size"])
