"""Hold a regression in full."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.annotation import Annotation
from orchestrator.domain.regression import Regression, RegressionEvent


@dataclass(frozen=True, slots=True)
class RegressionDetails:
    """Hold a regression with the steps of the life, and the annotations of the time about series or device."""

    regression: Regression
    events: tuple[RegressionEvent, ...]
    annotations: tuple[Annotation, ...] = ()
