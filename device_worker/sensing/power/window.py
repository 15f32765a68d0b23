"""Compute the window needed by a power source, and lengthen a plan's measuring rule accordingly."""

from __future__ import annotations

from device_worker.protocol.power_trace import READINGS_MIN, READINGS_WANTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.protocol.specification import MeasureRule
    from device_worker.sensing.power.base import PowerSource

_SPARE_READINGS = 2  # a late reading may fall outside the window, one at each border
_TIMEOUT_SHARE = 0.5  # the other half is for start, load and warm-up: a longer window must not cost the trial


def window_s_min(source: PowerSource) -> float:
    """Return the shortest window for a figure, in seconds."""
    return (READINGS_MIN + _SPARE_READINGS) * source.period_s


def lengthen(measure: MeasureRule, source: PowerSource, trial_timeout_s: float) -> MeasureRule:
    """Return the measuring rule with `seconds_min` long enough for the source's readings.

    `seconds_max` and half of the trial's time-out limit the window.
    """
    bound_s = _bound_s(measure, trial_timeout_s)
    if bound_s < window_s_min(source):  # too short for any figure: a longer trial would gain nothing
        return measure
    wanted_s = (READINGS_WANTED + _SPARE_READINGS) * source.period_s
    return measure.lengthened(max(measure.seconds_min, min(wanted_s, bound_s)))


def explain_shortness(measure: MeasureRule, source: PowerSource, trial_timeout_s: float) -> str | None:
    """Return the reason if no trial of the plan can be long enough for the source, otherwise None."""
    bound_s = _bound_s(measure, trial_timeout_s)
    if bound_s >= window_s_min(source):
        return None
    bound = "seconds_max" if bound_s == measure.seconds_max else "half of the trial's timeout"
    return (
        f"{source.name} has a reading each {source.period_s:g} s, so that a window takes {window_s_min(source):g} s, "
        f"and {bound} allows {bound_s:g} s"
    )


def explain_early_end(measure: MeasureRule, runs: int, window_s: float) -> str | None:
    """Return the reason if `runs_max` ended a window before the rule's `seconds_min`, otherwise None."""
    # With fewer runs, the trial's program ended the window by a rule of its own.
    if runs < measure.runs_max or window_s >= measure.seconds_min:
        return None
    return (
        f"the window ended at runs_max {measure.runs_max} after {window_s:.3g} s, of {measure.seconds_min:g} s wanted"
    )


def _bound_s(measure: MeasureRule, trial_timeout_s: float) -> float:
    return min(measure.seconds_max, trial_timeout_s * _TIMEOUT_SHARE)
