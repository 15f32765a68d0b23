"""Judge a classifier by whether the label is one of the five highest outputs."""

from __future__ import annotations

from device_worker.trial.accuracy.classes import BestClasses


class Top5(BestClasses):
    """Tell whether the label is one of the five highest outputs."""

    name = "top5"
    best = 5
