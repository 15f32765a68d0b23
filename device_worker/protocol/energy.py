"""Compute the energy of an inference from a trace and from idle power, with the uncertainty of each figure.

An uncertainty is stated as half the width of a 95 % interval (twice the standard uncertainty). The parts are
independent, so that the squares of the parts add up (docs/decisions/0045).
"""

from __future__ import annotations

from math import sqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.protocol.power_trace import Trace

_W_PER_UJ_NS = 1000.0
_UJ_PER_MJ = 1000.0
_NS_PER_S = 1e9
_COVERAGE = 2.0
_BESIDES_MAX = 0.2
_IDLE_PARTS_MAX = 8
_READINGS_PER_PART = 5
_UNIFORM = 1 / sqrt(3)
_TRIANGULAR = 1 / sqrt(6)

# Student's t of 95 % over the normal quantile, by the number of parts less one: few parts tell their spread badly.
_SPREAD_FACTORS = {1: 6.48, 2: 2.20, 3: 1.62, 4: 1.42, 5: 1.31, 6: 1.25, 7: 1.21}


class Traits:
    """What a power source declares of its readings.

    `resolution` is the smallest step of a value, in microwatts or microjoules. `accuracy_ratio` is the largest error as
    a share of the reading, or None if nobody states one. `update_s` is the time between two updates of the hardware.
    `is_estimate`: the source derives power from something else, or measures a part of the device.
    """

    __slots__ = ("accuracy_ratio", "is_estimate", "resolution", "update_s")

    def __init__(
        self, resolution: float, accuracy_ratio: float | None, update_s: float, *, is_estimate: bool = False
    ) -> None:
        self.resolution = resolution
        self.accuracy_ratio = accuracy_ratio
        self.update_s = update_s
        self.is_estimate = is_estimate


class Idle:
    """Idle power in watts, with the standard uncertainty of the mean in watts, and the time watched in ns."""

    __slots__ = ("duration_ns", "mean_w", "uncertainty_w")

    def __init__(self, mean_w: float, uncertainty_w: float, duration_ns: float) -> None:
        self.mean_w = mean_w
        self.uncertainty_w = uncertainty_w
        self.duration_ns = duration_ns


class Window:
    """The measured part of a trial: the borders, the number of inferences, and how long these took together in ns.

    `batch` is the number of items of an inference, None where the sweep names no batch.
    """

    __slots__ = ("batch", "begin_ns", "end_ns", "inferences", "invoked_ns")

    def __init__(self, begin_ns: int, end_ns: int, inferences: int, invoked_ns: int, batch: int | None = None) -> None:
        self.begin_ns = begin_ns
        self.end_ns = end_ns
        self.inferences = inferences
        self.invoked_ns = invoked_ns
        self.batch = batch

    @property
    def invoked_ratio(self) -> float | None:
        """The share of the window that the inferences took, or None if unknown. Threads of a program may exceed 1."""
        duration_ns = self.end_ns - self.begin_ns
        return self.invoked_ns / duration_ns if self.invoked_ns and duration_ns > 0 else None

    @property
    def kept_ratio(self) -> float:
        """The share of the window's energy that is the inferences'.

        What the window holds besides is the instrument's: it is subtracted at the window's mean power. Of a window that
        holds much besides, nobody knows the power of either part, and the whole energy is kept.
        """
        ratio = self.invoked_ratio
        return 1.0 if ratio is None or not 1.0 - _BESIDES_MAX <= ratio <= 1.0 else ratio

    @property
    def holds_much_besides(self) -> bool:
        """Whether so much time passed besides the inferences that figures include what was done then."""
        ratio = self.invoked_ratio
        return ratio is not None and ratio < 1.0 - _BESIDES_MAX


def idle_of(trace: Trace, traits: Traits) -> Idle:
    """Return the idle power of a whole recording. Raise NoFigure.

    The spread is that of the means of a few parts: neighbouring readings resemble each other, and many readings of one
    disturbance would pass for many witnesses.
    """
    stamps_ns = trace.stamps_ns
    begin_ns, end_ns = (stamps_ns[0], stamps_ns[-1]) if len(stamps_ns) else (0, 0)
    energy_uj = trace.energy_uj(begin_ns, end_ns)
    duration_ns = end_ns - begin_ns
    mean_w = energy_uj / duration_ns * _W_PER_UJ_NS
    rate_w = trace.rate_uj(begin_ns, end_ns, traits.update_s) / duration_ns * _W_PER_UJ_NS
    parts = max(2, min(_IDLE_PARTS_MAX, trace.count_within(begin_ns, end_ns) // _READINGS_PER_PART))
    borders_ns = [begin_ns + duration_ns * index // parts for index in range(parts + 1)]
    means_w = [
        trace.part_uj(borders_ns[index], borders_ns[index + 1])
        / (borders_ns[index + 1] - borders_ns[index])
        * _W_PER_UJ_NS
        for index in range(parts)
    ]
    variance = sum((one - mean_w) ** 2 for one in means_w) / (parts - 1) / parts
    return Idle(mean_w, max(rate_w, sqrt(variance) * _SPREAD_FACTORS[parts - 1]), duration_ns)


def idle_between(before: Idle | None, after: Idle | None) -> Idle | None:
    """Return the idle power of a trial from that before and that after, or from the only known one.

    In between, idle power may have been anything from the one to the other.
    """
    if before is None or after is None:
        return before or after
    variance = (before.uncertainty_w**2 + after.uncertainty_w**2) / 4
    variance += ((after.mean_w - before.mean_w) / 2 * _UNIFORM) ** 2
    duration_ns = before.duration_ns + after.duration_ns
    return Idle((before.mean_w + after.mean_w) / 2, sqrt(variance), duration_ns)


def power_figures(trace: Trace, window: Window, idle: Idle | None, traits: Traits) -> dict[str, float]:
    """Return the figures of a window by the metric's name. Raise NoFigure.

    Energy above idle may be zero or negative: leaving such figures out would bias the mean of the others.
    """
    begin_ns, end_ns = window.begin_ns, window.end_ns
    energy_uj = trace.energy_uj(begin_ns, end_ns)
    duration_ns = end_ns - begin_ns
    figures = {
        "power_mean_w": energy_uj / duration_ns * _W_PER_UJ_NS,
        "power_max_w": trace.peak_uw(begin_ns, end_ns) / 1e6,
    }
    if idle is not None:
        figures["power_idle_w"] = idle.mean_w
    if not window.inferences:
        return figures
    rate_uj = trace.rate_uj(begin_ns, end_ns, traits.update_s)
    per_mj = window.kept_ratio / window.inferences / _UJ_PER_MJ
    idle_uj = 0.0 if idle is None else idle.mean_w * duration_ns / _W_PER_UJ_NS
    above_uj = energy_uj - idle_uj
    # What was subtracted took anything from idle power (or none, where idle power is unknown) to the mean power.
    besides_uj = (1.0 - window.kept_ratio) * above_uj * _UNIFORM
    step = trace.step(traits.resolution)
    gauge_uj = step * duration_ns / _NS_PER_S  # a gauge may cut off as much from every reading
    step_uj = gauge_uj * _UNIFORM if trace.is_gauge else step * _TRIANGULAR
    accuracy = (traits.accuracy_ratio or 0.0) * _UNIFORM
    figures["energy_gross_mj"] = energy_uj * per_mj
    parts = (rate_uj, besides_uj, step_uj, accuracy * energy_uj)
    figures["energy_gross_u95_mj"] = _COVERAGE * _root_of_squares(parts) * per_mj
    if window.batch is not None:
        figures["energy_gross_item_mj"] = energy_uj * per_mj / window.batch
    if idle is None:
        return figures
    figures["energy_mj"] = above_uj * per_mj
    # What one instrument gets wrong in both measurements alike falls out of the difference.
    step_uj = gauge_uj if trace.is_gauge else step * sqrt(1 + (duration_ns / idle.duration_ns) ** 2)
    idle_u_uj = idle.uncertainty_w * duration_ns / _W_PER_UJ_NS
    parts = (rate_uj, besides_uj, step_uj * _TRIANGULAR, accuracy * above_uj)
    figures["energy_u95_mj"] = _COVERAGE * _root_of_squares((*parts, idle_u_uj)) * per_mj
    if window.batch is not None:
        figures["energy_item_mj"] = above_uj * per_mj / window.batch
    return figures


def idle_u95_w(idle: Idle) -> float:
    """Return half the width of the 95 % interval of idle power in watts."""
    return _COVERAGE * idle.uncertainty_w


def _root_of_squares(parts: tuple[float, ...]) -> float:
    return sqrt(sum(part * part for part in parts))
