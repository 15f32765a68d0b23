"""Judge numbers by their distance from the wanted ones."""

from __future__ import annotations

from device_worker.trial.accuracy.base import AccuracyMetric, Unprovable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MeanAbsoluteError(AccuracyMetric):
    """Take the mean distance of an output's values from the label's."""

    name = "mean_absolute_error"

    def score(self, output: Any, label: Any) -> float:
        """Return the mean. Raise Unprovable for another number of values, and for NaN or an infinity."""
        import numpy

        found, true = output.reshape(-1).astype("f8"), numpy.asarray(label).reshape(-1).astype("f8")
        if found.shape != true.shape:
            raise Unprovable(f"{self.name}: the output has {found.size} values, and the label {true.size}")
        error = float(numpy.abs(found - true).mean())
        if not numpy.isfinite(error):
            raise Unprovable(f"{self.name}: the output or its label has NaN or an infinity")
        return error
