"""Set the cells of a comparison beside each other in two metrics, and find the unbeaten cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.domain.comparison import Comparison, ComparisonGroup, Side
from orchestrator.domain.metric import SIZE_METRIC, Direction, Metric, metric_named
from orchestrator.domain.sweep import setting_text, setting_texts

ACCURACY = "accuracy_top1"


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """Hold a cell in two metrics, `x` and `y` in the metrics' units.

    `on_front`: no cell of the same device is better in both.
    """

    device: str | None
    label: str
    trials: int
    x: float
    y: float
    on_front: bool


@dataclass(frozen=True, slots=True)
class Pareto:
    """Hold the points of a comparison in two metrics. `without` counts the cells with a single metric of both."""

    x: Metric
    y: Metric
    points: tuple[ParetoPoint, ...]
    without: int


def pareto_metrics(comparison: Comparison) -> Sequence[str]:
    """Return the metrics that a comparison has for its cells: those compared, the size, and the accuracy if any."""
    sides = [side for group in comparison.groups for side in _sides(group)]
    names = [metric.name for metric in comparison.metrics]
    accuracies = {side.accuracy_metric for side in sides if side.accuracy is not None and side.accuracy_metric}
    sizes = [SIZE_METRIC] if any(side.size_bytes is not None for side in sides) else []
    return list(dict.fromkeys([*names, *sizes, *sorted(accuracies)]))


def pareto(comparison: Comparison, x: str, y: str, device: str | None) -> Pareto:
    """Return the cells of a device in two metrics, or those of all devices. Cells that lack either are counted.

    Values are means over trials without intervals: noise may move a point.
    """
    in_each = {one.metric.name: one for one in comparison.in_each_metric()}
    wanted = metric_named(x), metric_named(y)
    columns = [_values(comparison, in_each, metric.name, device) for metric in wanted]
    # A point needs both: a cell without accuracy is counted beside the drawing.
    both = [
        key for key in columns[0] if columns[0][key][1] is not None and columns[1].get(key, (0, None))[1] is not None
    ]
    places = {key: (float(columns[0][key][1] or 0), float(columns[1][key][1] or 0)) for key in both}
    points = tuple(
        ParetoPoint(
            key[0],
            key[2],
            columns[0][key][0],
            *places[key],
            # Within a device and a model: the best cell of a slow board stays a choice for that board.
            not any(_beats(other, places[key], wanted) for name, other in places.items() if name[:2] == key[:2]),
        )
        for key in both
    )
    return Pareto(*wanted, points, len(columns[0].keys() | columns[1].keys()) - len(both))


_Key = tuple[str | None, str | None, str]
"""Device, model where there are several, and label."""


def _values(
    comparison: Comparison, in_each: dict[str, Comparison], metric: str, device: str | None
) -> dict[_Key, tuple[int, float | None]]:
    """Return trials and value of each side by device and label."""
    found: dict[_Key, tuple[int, float | None]] = {}
    for group in in_each.get(metric, comparison).groups:
        for side in _sides(group):
            place = _place(group, side, comparison.by)
            if device is None or place[0] == device:
                found[place] = (side.trials, _value(side, metric, is_compared=metric in in_each))
    return found


def _value(side: Side, metric: str, *, is_compared: bool) -> float | None:
    if is_compared:
        return side.value
    if metric == SIZE_METRIC:
        return side.size_bytes
    return side.accuracy if side.accuracy_metric == metric else None


def _sides(group: ComparisonGroup) -> Sequence[Side]:
    return [*([group.base] if group.base else []), *(row.side for row in group.rows)]


def _place(group: ComparisonGroup, side: Side, by: str) -> _Key:
    at = setting_text(side.at)
    device = at if by == "device" else group.device
    rest = setting_texts(sorted((name, value) for name, value in group.fixed.items() if name != "device"))
    named = [at] if by in ("variant", "runtime") else [] if by == "device" else [f"{by}={at}"]
    model = [] if group.named_model is None else [group.named_model]
    plain = [text.partition("=")[2] if text.startswith(_PLAIN) else text for text in rest]
    return device, group.named_model, " · ".join([*model, *named, *plain])


_PLAIN = ("variant=", "runtime=")


def _beats(one: tuple[float, float], other: tuple[float, float], metrics: tuple[Metric, Metric]) -> bool:
    """Return True if a place is no worse in both metrics, and better in one."""
    # Counted so that more is better, whichever way the metric points.
    gains = [
        (theirs - own) if metric.direction is not Direction.HIGHER else (own - theirs)
        for own, theirs, metric in zip(one, other, metrics, strict=True)
    ]
    return min(gains) >= 0 and max(gains) > 0
