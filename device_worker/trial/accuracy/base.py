"""Define an accuracy metric: a score for each input of a data set, of which the mean is the figure."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BITS, FLOATS = "bits", "f4"
"""How the scores of all inputs are kept: right or wrong, or a number."""


class Unprovable(Exception):
    """The outputs cannot be kept and compared. The message says why. The model can be timed all the same."""


class AccuracyMetric(ABC):
    """Judge an output by its label. A metric keeps nothing between two inputs.

    `name` is the metric's in sweeps; results have `accuracy_NAME`. With `encoding` BITS each score is 1 or 0.
    """

    name: str
    encoding = FLOATS

    @abstractmethod
    def score(self, output: Any, label: Any) -> float:
        """Return the score of a float32 output. Raise Unprovable for an output or a label that has none."""
