"""Hold the reasons of a gate against a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ACCURACY_DROP = 0.01
ACCURACY_DROPS: Mapping[str, float] = {"accuracy_top1": 0.01, "accuracy_top5": 0.005}
"""The largest drop in accuracy that a gate lets pass, by metric. Other metrics have `ACCURACY_DROP`."""

ACCURACY_LOSS = 0.02
"""The largest loss of accuracy beside which a better value counts, unless somebody names another."""


class GateKind(StrEnum):
    """Name the reasons of a gate. `nothing-compared` is about the whole comparison, all others about a single cell."""

    REGRESSED = "regressed"
    DOES_NOT_LOAD = "does-not-load"
    MISSING = "missing"
    LESS_ACCURATE = "less-accurate"
    OUTPUTS_DISAGREE = "outputs-disagree"
    ENVIRONMENT_CHANGED = "environment-changed"
    NOTHING_COMPARED = "nothing-compared"


@dataclass(frozen=True, slots=True)
class GateReason:
    """Hold a reason. `cell` names the cell in words, and is None for the whole comparison."""

    kind: GateKind
    cell: str | None
    text: str

    def __str__(self) -> str:
        return self.text if self.cell is None else f"{self.cell}: {self.text}"


@dataclass(frozen=True, slots=True)
class GateTerms:
    """Hold the demands of a gate, and of a comparison. `accuracy_drop` is a difference of shares; None: the defaults.

    Beyond it a gate refuses, and a better value is not comparable. By default the gate is the stricter of the two.
    Unless `needs_environment`, a change of the environment is a warning rather than a reason.
    """

    accuracy_drop: float | None = None
    needs_agreement: bool = False
    needs_environment: bool = False

    def largest_drop(self, metric: str | None) -> float:
        """Return the largest passing drop in accuracy."""
        if self.accuracy_drop is not None:
            return self.accuracy_drop
        return ACCURACY_DROPS.get(metric or "", ACCURACY_DROP)

    @property
    def largest_loss(self) -> float:
        """Return the largest loss of accuracy beside which a better value counts."""
        return ACCURACY_LOSS if self.accuracy_drop is None else self.accuracy_drop
