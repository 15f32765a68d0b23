"""Measure the cosine between outputs."""

from __future__ import annotations

import numpy as np

from orchestrator.agreement.base import AgreementMetric, NoFigure, OutputPair, refuse_nan


class Cosine(AgreementMetric):
    """The cosine of the angle between two outputs, the mean over inputs. Equal directions have 1."""

    name = "agreement_cosine"

    def of(self, pair: OutputPair) -> float:
        """Return the cosine. Raise NoFigure for NaN, infinities, and an output of zeros, which has no direction."""
        refuse_nan(pair)
        base, other = (side.reshape(len(side), -1) for side in (pair.base, pair.other))
        if not (np.isfinite(base).all() and np.isfinite(other).all()):
            raise NoFigure("a value is infinite, and the output has no direction")
        lengths = np.linalg.norm(base, axis=1), np.linalg.norm(other, axis=1)
        zeros = int(np.count_nonzero((lengths[0] == 0) | (lengths[1] == 0)))
        if zeros:
            raise NoFigure(f"for {zeros} of {len(base)} inputs all values are 0, which has no direction")
        # Lengths first: the product of large values would leave the room of the sum.
        cosines = np.sum((base / lengths[0][:, None]) * (other / lengths[1][:, None]), axis=1)
        return float(np.clip(cosines, -1.0, 1.0).mean())

    def worst(self, first: float, second: float) -> float:
        """Return the smaller cosine."""
        return min(first, second)
