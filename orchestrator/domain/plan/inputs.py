"""Describe declared inputs as plans have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ShippedInput:
    """Hold the declaration of an input. Plans of older controllers have the range alone."""

    low: float
    high: float
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    from_output: str | None = None


def write_input(declared: ShippedInput) -> dict[str, Any]:
    """Return a declaration as plans have it."""
    document: dict[str, Any] = {"low": declared.low, "high": declared.high}
    if declared.shape is not None:
        document |= {"shape": list(declared.shape), "dtype": declared.dtype}
    if declared.from_output is not None:
        document["from_output"] = declared.from_output
    return document


def read_input(declared: Mapping[str, Any]) -> ShippedInput:
    """Return the declaration in a plan."""
    shape = declared.get("shape")
    sizes = None if shape is None else tuple(shape)
    return ShippedInput(declared["low"], declared["high"], sizes, declared.get("dtype"), declared.get("from_output"))
