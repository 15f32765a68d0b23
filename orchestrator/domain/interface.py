"""Describe what a model file takes and gives, as the file itself says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """Describe an input or output. A dimension that only a call fixes is None. `shape` is None for an unknown rank."""

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True, slots=True)
class Interface:
    """Hold the inputs and outputs of a model file. `precision` is told from the weights."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    precision: str
