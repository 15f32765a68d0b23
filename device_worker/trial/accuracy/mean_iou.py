"""Judge a map of classes by its overlap with the true one."""

from __future__ import annotations

from device_worker.trial.accuracy.base import AccuracyMetric, Unprovable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MeanIou(AccuracyMetric):
    """Divide intersection by union of each class in either map: the score is the mean over these classes."""

    name = "mean_iou"

    def score(self, output: Any, label: Any) -> float:
        """Return the mean for an output with the scores of the classes along its last axis.

        Raise Unprovable for NaN, and for a label of another size.
        """
        import numpy

        if numpy.isnan(output).any():
            raise Unprovable(f"{self.name}: the output has NaN, which belongs to no class")
        found = output.argmax(axis=-1).reshape(-1)
        true = numpy.asarray(label).reshape(-1)
        if found.shape != true.shape:
            raise Unprovable(f"{self.name}: the output has {found.size} places, and the label {true.size}")
        shares = []
        for one in numpy.union1d(found, true):
            here, there = found == one, true == one
            shares.append(float((here & there).sum()) / float((here | there).sum()))
        return sum(shares) / len(shares)
