"""List the accuracy metrics that a preflight computes on the device. No metric needs numpy before its first score."""

from __future__ import annotations

from device_worker.trial.accuracy.mean_absolute_error import MeanAbsoluteError
from device_worker.trial.accuracy.mean_iou import MeanIou
from device_worker.trial.accuracy.top1 import Top1
from device_worker.trial.accuracy.top5 import Top5

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.trial.accuracy.base import AccuracyMetric

METRICS: dict[str, AccuracyMetric] = {
    metric.name: metric
    for metric in (
        Top1(),
        Top5(),
        MeanIou(),
        MeanAbsoluteError(),
    )
}
"""The metrics by the name that sweeps have. The controller's names are in `specs/sweep_schema.py`."""

KEPT_OUTPUTS = "outputs"
"""No metric of the device's: outputs of the whole data set are kept, for a metric that the controller computes."""
