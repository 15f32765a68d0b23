"""Measure how often the largest value is at the same place."""

from __future__ import annotations

import numpy as np

from orchestrator.agreement.base import AgreementMetric, NoMeaning, OutputPair


class Argmax(AgreementMetric):
    """The share of places at which both outputs have the largest value of the last axis in the same class.

    A place is an input for a classifier, and a pixel for a map of classes. A place with NaN counts as another class.
    """

    name = "agreement_argmax"

    def of(self, pair: OutputPair) -> float:
        """Return the share. Raise NoMeaning for a last axis of one value, whose largest is always the same."""
        if pair.base.ndim < 2 or pair.base.shape[-1] < 2:
            raise NoMeaning("the output has one value for each place, and nothing to choose from")
        sound = ~(np.isnan(pair.base).any(axis=-1) | np.isnan(pair.other).any(axis=-1))
        same = sound & (pair.base.argmax(axis=-1) == pair.other.argmax(axis=-1))
        return float(same.mean())

    def worst(self, first: float, second: float) -> float:
        """Return the smaller share."""
        return min(first, second)
