"""Decide when a cell has enough trials. docs/decisions/0045 has the rule, its source and its simulated coverage.

The interval is of the trials that lie together, on logarithms: far trials are set aside, as the controller does
(docs/decisions/0022). A look after each trial would cost coverage, so that each looks at a wider interval than the one
that is reported in the end. The worker has no scipy: quantiles come from the finite sums for whole degrees of freedom,
Abramowitz and Stegun 26.7.3 and 26.7.4.
"""

from __future__ import annotations

from math import atan, cos, exp, log, log1p, pi, sin, sqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

    from device_worker.protocol.plan import StopRule

LOOKS_FROM = 7
"""The fewest trials of a cell."""
LOOK_LEVEL = 0.98
"""The level of the interval that a look asks to be narrow. The interval reported in the end is of 95 %."""
_OUTLIER_LEVEL = 0.005
_TIE = 1e-9
_BISECTIONS = 80


class Look:
    """What a look at a cell finds. `half_width` is relative, and None below two trials or with too many far ones."""

    __slots__ = ("half_width", "kept", "trials")

    def __init__(self, trials: int, kept: int, half_width: float | None) -> None:
        self.trials = trials
        self.kept = kept
        self.half_width = half_width

    def reason_to_stop(self, rule: StopRule, device_s: float) -> str | None:
        """Return why the cell needs no further trial, or None. `device_s` is the time of the cell's attempts so far."""
        if self.trials >= LOOKS_FROM and self.half_width is not None and self.half_width <= rule.ci_halfwidth:
            return (
                f"stop rule: {self.trials} trials agree within {100 * self.half_width:.2g} %, "
                f"and {100 * rule.ci_halfwidth:.3g} % is asked for"
            )
        if rule.device_s_max is not None and device_s >= rule.device_s_max:
            return f"stop rule: the cell has taken {device_s:.0f} s of {rule.device_s_max:g} s"
        return None


def look_at(values: Sequence[float]) -> Look:
    """Look at the values of a cell's trials. Values of 0 or below have no logarithm, and make no narrow interval."""
    if len(values) < 2 or min(values) <= 0:
        return Look(len(values), len(values), None)
    logs = sorted(log(value) for value in values)
    floor = max(_resolution(logs), _unit(values)) ** 2 / 12
    kept = _lying_together(logs, floor)
    if kept is None or len(kept) < 2:
        return Look(len(values), len(values), None)
    variance = max(_squares(kept) / (len(kept) - 1), floor)
    width = student_quantile(LOOK_LEVEL, len(kept) - 1) * sqrt(variance / len(kept))
    return Look(len(values), len(kept), exp(width) - 1 if width < 1 else width)


def student_level(size: float, freedom: int) -> float:
    """Return the probability that a Student's variable lies within plus or minus `size`."""
    angle = atan(size / sqrt(freedom))
    cosine = cos(angle)
    square, term, total = cosine * cosine, 1.0, 0.0
    if freedom % 2:
        term = cosine
        for number in range(1, (freedom - 1) // 2 + 1):
            total += term
            term *= square * 2 * number / (2 * number + 1)
        return 2 / pi * (angle + sin(angle) * total)
    for number in range(1, freedom // 2 + 1):
        total += term
        term *= square * (2 * number - 1) / (2 * number)
    return sin(angle) * total


def student_quantile(level: float, freedom: int) -> float:
    """Return the size within which a Student's variable lies with a probability."""
    low, high = 0.0, 1.0
    while student_level(high, freedom) < level and high < 1e9:
        high *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if student_level(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return high


def _lying_together(logs: list[float], floor: float) -> list[float] | None:
    """Return sorted logarithms without those that lie off, or None if more lie off than the cell can spare.

    Rosner's test (1983): trials are taken away in turn, the farthest from the median first, and as many are set aside
    as lie off up to the last one that does.
    """
    spare = max((len(logs) - 1) // 2 - 1, 0)
    rest, taken, kept = list(logs), 0, list(logs)
    for number in range(1, len(logs) // 2 + 1):
        middle = _median(rest)
        removed = rest.pop(0 if middle - rest[0] > rest[-1] - middle else -1)
        if len(rest) < 2:
            break
        if _lies_off(removed, rest, floor, len(logs)):
            taken, kept = number, list(rest)
    return None if taken > spare else kept


def _lies_off(removed: float, rest: list[float], floor: float, trials: int) -> bool:
    count, freedom = len(rest), len(rest) - 1
    noise = max(_squares(rest) / freedom, floor)
    if noise <= 0:
        return abs(removed - rest[0]) > _TIE
    size = abs(removed - sum(rest) / count) / sqrt(noise * (1 + 1 / count))
    # The level is the whole cell's: each of its trials might have been the farthest.
    return 1 - student_level(size, freedom) <= _OUTLIER_LEVEL / trials


def _squares(logs: list[float]) -> float:
    mean = sum(logs) / len(logs)
    # Equal values have no variance: the rounding of logarithms must not invent one.
    return sum((one - mean) ** 2 for one in logs if abs(one - mean) > _TIE / 2)


def _median(ordered: list[float]) -> float:
    last = len(ordered) - 1
    return (ordered[last // 2] + ordered[(last + 1) // 2]) / 2


def _resolution(ordered: list[float]) -> float:
    """Return the smallest step between different values: rounded values lie on a grid no coarser than that."""
    steps = [after - before for before, after in zip(ordered, ordered[1:]) if after - before > _TIE]
    return min(steps, default=0.0)


def _unit(values: Sequence[float]) -> float:
    """Return the least step of whole numbers, as a logarithm, else 0."""
    return log1p(1 / max(values)) if all(float(value).is_integer() for value in values) else 0.0
