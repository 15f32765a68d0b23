"""Define the interface of a metric of agreement between the outputs of two variants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.tolerance import Tolerance

Values = NDArray[np.float64]


class NoFigure(Exception):
    """A metric has no value for these outputs. The message says why."""


class NoMeaning(Exception):
    """A metric means nothing for an output of this form, and the other outputs decide. The message says why."""


@dataclass(frozen=True, slots=True)
class OutputPair:
    """Hold one output of two variants for the same inputs: both arrays have an entry for each input.

    An array has the output's own shape behind the first axis, or a single axis where a worker told no shape.
    """

    base: Values
    other: Values
    tolerance: Tolerance


class AgreementMetric(ABC):
    """A metric of agreement. `name` is registered in `domain.metric`, with unit and direction."""

    name: str

    @abstractmethod
    def of(self, pair: OutputPair) -> float:
        """Return the value for one output. Raise NoFigure for values that spoil the figure, or NoMeaning."""

    @abstractmethod
    def worst(self, first: float, second: float) -> float:
        """Return the worse of two values: of several outputs the worst decides."""


def refuse_nan(pair: OutputPair) -> None:
    """Raise NoFigure for outputs with NaN, which is at no distance from anything."""
    count = int(np.count_nonzero(np.isnan(pair.base) | np.isnan(pair.other)))
    if count:
        raise NoFigure(f"{count} of {pair.base.size} values are NaN")
