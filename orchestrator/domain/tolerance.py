"""Bound how far outputs may differ and still agree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Bound the difference of agreeing outputs: |other - base| <= absolute + relative x |base| for every value."""

    absolute: float = 1e-3
    relative: float = 1e-2

    def __str__(self) -> str:
        return f"|Δ| ≤ {self.absolute:g} + {self.relative:g}·|base|"
