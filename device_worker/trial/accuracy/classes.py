"""Judge a classifier: is the label among the classes with the highest scores?"""

from __future__ import annotations

from device_worker.trial.accuracy.base import BITS, AccuracyMetric, Unprovable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BestClasses(AccuracyMetric):
    """Tell whether a label is among the `best` highest scores. Of equal scores the first counts."""

    best: int
    encoding = BITS

    def score(self, output: Any, label: Any) -> float:
        """Return 1 or 0. An output with NaN is wrong. Raise Unprovable for a label that is no class of the output."""
        import numpy

        scores = output.reshape(-1)
        self._refuse_few(scores.size)
        wanted = class_of(label, scores.size)
        if numpy.isnan(scores).any():  # to `argsort` a NaN is the highest value
            return 0.0
        order = numpy.argsort(-scores, kind="mergesort")[: self.best]
        return float(wanted in order.tolist())

    def _refuse_few(self, classes: int) -> None:
        """Raise Unprovable where there are no classes to choose among."""
        if classes == 1:  # such as the number of the class that the model has chosen by itself
            raise Unprovable(f"{self.name} of an output of one value: it takes a score for each class")
        if classes <= self.best:
            raise Unprovable(f"{self.name} of {classes} classes: every label would be among them")


def class_of(label: Any, classes: int) -> int:
    """Return the class that a label is the number of. Raise Unprovable for any other label."""
    value = label if type(label) is int else _whole_number(label)
    if not 0 <= value < classes:
        counted = "; are the labels counted from 1?" if value == classes else ""
        raise Unprovable(f"the label {value} is none of the output's classes, 0 to {classes - 1}{counted}")
    return value


def _whole_number(label: Any) -> int:
    """Return the whole number that a label is, as a row of one number too. Raise Unprovable for any other label."""
    import numpy

    found = numpy.asarray(label)
    if found.size != 1:
        shape = list(found.shape)
        raise Unprovable(f"a label has the shape {shape}: make y of the numbers of classes, as argmax of one-hot rows")
    value = found.reshape(-1)[0].item()  # rows of one label are as good as labels
    if found.dtype.kind not in "fiub" or not float(value).is_integer():
        raise Unprovable(f"the label {str(value)!r} is no number of a class: make y of whole numbers")
    return int(value)
