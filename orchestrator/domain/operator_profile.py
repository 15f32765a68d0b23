"""Hold the operators of cells, as a profile trial told them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """Hold an operator of a model in a profile of `runs` inferences.

    `mean_ns` is the mean time of a call, and `share` the share of the time of all operators. `placed_on` is the
    execution provider or delegate, or None if unknown.
    """

    position: int
    operator: str
    name: str
    placed_on: str | None
    calls: int
    runs: int
    mean_ns: float
    share: float

    @property
    def inference_ns(self) -> float:
        """Return the time of the operator in one inference."""
        return self.mean_ns * self.calls / self.runs


@dataclass(frozen=True, slots=True)
class CellProfile:
    """Hold the profile of a cell, the largest shares first. `reason` says why there is none, and is None beside one."""

    run: str
    device: str
    cell: str
    operators: tuple[OperatorTime, ...]
    reason: str | None = None

    @property
    def runs(self) -> int | None:
        """Return the number of profiled inferences, or None without a profile."""
        return self.operators[0].runs if self.operators else None

    @property
    def total_ns(self) -> float | None:
        """Return the time of all operators in one inference, or None without a profile."""
        return sum(one.inference_ns for one in self.operators) if self.operators else None

    @property
    def placed(self) -> Mapping[str, int]:
        """Return the number of operators by provider or delegate. Operators with an unknown place are left out."""
        counts: dict[str, int] = {}
        for one in self.operators:
            if one.placed_on is not None:
                counts[one.placed_on] = counts.get(one.placed_on, 0) + 1
        return counts


@dataclass(frozen=True, slots=True)
class KindTime:
    """Hold the operators of one kind in a cell: how many, and the time in one inference."""

    operators: int
    inference_ns: float
    share: float


@dataclass(frozen=True, slots=True)
class KindPair:
    """Hold one kind of operator in two cells. A side is None for a cell without such operators."""

    operator: str
    base: KindTime | None
    other: KindTime | None

    @property
    def ratio(self) -> float | None:
        """Return the other's time over the base's, or None unless both have a time."""
        if self.base is None or self.other is None or not self.base.inference_ns:
            return None
        return self.other.inference_ns / self.base.inference_ns


@dataclass(frozen=True, slots=True)
class ProfilePair:
    """Hold two profiles side by side, by kind of operator: converters rename operators, and keep or fuse kinds."""

    base: CellProfile
    other: CellProfile
    kinds: tuple[KindPair, ...]


def pair_profiles(base: CellProfile, other: CellProfile) -> ProfilePair:
    """Return two profiles side by side, the kinds with the most time in either first."""
    sides = _by_kind(base.operators), _by_kind(other.operators)
    pairs = [KindPair(kind, sides[0].get(kind), sides[1].get(kind)) for kind in dict.fromkeys((*sides[0], *sides[1]))]
    return ProfilePair(base, other, tuple(sorted(pairs, key=lambda pair: (-_most_ns(pair), pair.operator))))


def _by_kind(operators: Iterable[OperatorTime]) -> Mapping[str, KindTime]:
    found: dict[str, KindTime] = {}
    for one in operators:
        known = found.get(one.operator, KindTime(0, 0.0, 0.0))
        found[one.operator] = KindTime(
            known.operators + 1, known.inference_ns + one.inference_ns, known.share + one.share
        )
    return found


def _most_ns(pair: KindPair) -> float:
    return max(side.inference_ns for side in (pair.base, pair.other) if side is not None)
