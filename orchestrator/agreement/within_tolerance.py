"""Measure how many values differ by no more than the tolerance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.agreement.base import AgreementMetric, OutputPair


class WithinTolerance(AgreementMetric):
    """The share of values that differ by no more than the tolerance. NaN agrees with nothing."""

    name = "agreement_within_tolerance"

    def of(self, pair: OutputPair) -> float:
        """Return the share."""
        return float(within(pair).mean())

    def worst(self, first: float, second: float) -> float:
        """Return the smaller share."""
        return min(first, second)


def within(pair: OutputPair) -> NDArray[np.bool_]:
    """Return for each value whether the two sides agree."""
    finite = np.isfinite(pair.base) & np.isfinite(pair.other)
    agree = np.zeros(pair.base.shape, dtype=bool)
    allowed = pair.tolerance.absolute + pair.tolerance.relative * np.abs(pair.base[finite])
    agree[finite] = np.abs(pair.other[finite] - pair.base[finite]) <= allowed
    # Here `==` is right: infinities of one sign are equal, and NaN is unequal to everything.
    agree[~finite] = pair.base[~finite] == pair.other[~finite]
    return agree
