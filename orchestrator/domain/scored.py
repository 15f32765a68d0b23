"""Describe the outputs that a run has kept, and what a metric of the user's says of them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.blob import Blob


@dataclass(frozen=True, slots=True)
class ScoredOutputs:
    """Hold the kept outputs of a preflight: `count` times `values_per_output` float32 values, little-endian.

    `parts` has the shape of each output, empty from older workers. `dataset` is None for random inputs.
    """

    attempt: int
    device: str
    label: str
    count: int
    values_per_output: int
    data: bytes
    parts: tuple[tuple[int, ...], ...]
    dataset: Blob | None

    @property
    def cell(self) -> str:
        """Return the cell in words."""
        return f"{self.device} · {self.label}"


@dataclass(frozen=True, slots=True)
class Score:
    """Hold a metric's value for an attempt, or the reason for none. `by_input` has a value for each input, or none."""

    attempt: int
    metric: str
    value: float | None
    reason: str | None = None
    by_input: tuple[float, ...] = ()
    dataset_sha256: str | None = None
