"""Measure the largest absolute difference."""

from __future__ import annotations

import numpy as np

from orchestrator.agreement.base import AgreementMetric, NoFigure, OutputPair, refuse_nan


class MaxAbs(AgreementMetric):
    """The largest absolute difference of two values. Infinities of one sign do not differ."""

    name = "agreement_max_abs"

    def of(self, pair: OutputPair) -> float:
        """Return the largest difference. Raise NoFigure for NaN, and for an infinity on one side alone."""
        refuse_nan(pair)
        differs = pair.base != pair.other
        if not differs.any():
            return 0.0
        largest = float(np.abs(pair.other[differs] - pair.base[differs]).max())
        if not np.isfinite(largest):
            raise NoFigure("a value is infinite on one side alone")
        return largest

    def worst(self, first: float, second: float) -> float:
        """Return the larger difference."""
        return max(first, second)
