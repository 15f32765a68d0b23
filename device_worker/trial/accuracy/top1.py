"""Judge a classifier by whether the label is the highest output."""

from __future__ import annotations

from device_worker.trial.accuracy.classes import BestClasses


class Top1(BestClasses):
    """Tell whether the label is the highest output."""

    name = "top1"
    best = 1
