"""Compute the energy of trials from the readings of a meter that the controller, or another tool, has read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from device_worker.protocol.energy import Idle, Traits, Window, idle_between, idle_of, idle_u95_w, power_figures
from device_worker.protocol.power_trace import READINGS_WANTED, NoFigure, Trace
from device_worker.protocol.vocabulary import SourceKind
from orchestrator.domain.joined_power import JoinedPower, MeteredAttempt
from orchestrator.domain.meter import ClockOffset, Meter, MeterKind, MeterReading

_NS_PER_S = 1_000_000_000
_GAP_PERIODS = 5
_MARGIN_PERIODS = 3
_DRIFT = 50e-6
"""How far two clocks of quartz run apart at most, as a share of the time since they were compared."""
_REBOOT_S = 600.0
_MEANS = frozenset({MeterKind.SHELLY, MeterKind.TASMOTA, MeterKind.SNMP})
_NO_CLOCK = "nobody has compared the device's clock with the controller's in this run"


class MeterRecord:
    """The readings of a meter in the order of times, looked up by the device's clock."""

    def __init__(self, meter: Meter, readings: Sequence[MeterReading], source: str | None = None) -> None:
        self.meter = meter
        self.source = source or meter.name
        self._readings = readings
        self._times = [reading.unix_ns for reading in readings]
        steps = [later - earlier for earlier, later in zip(self._times, self._times[1:], strict=False)]
        self._period_ns = max(1, round(median(steps))) if steps else round(meter.period_s * _NS_PER_S)

    @property
    def period_s(self) -> float:
        """The usual time between two readings in seconds."""
        return self._period_ns / _NS_PER_S

    def join(self, attempt: MeteredAttempt, clocks: Sequence[ClockOffset]) -> JoinedPower:
        """Return the figures of an attempt, or an account with the reason for having none."""
        account: dict[str, Any] = {
            "source": self.source,
            "kind": SourceKind.POWER_GAUGE,
            "period_s": self.period_s,
            "samples": 0,
            "is_estimate": False,
            "accuracy_ratio": self.meter.accuracy_ratio,
        }
        trace: Trace | None = None
        try:
            window, clock = _window(attempt), _clock_for(attempt, clocks)
            account.update(clock_offset_ns=clock.offset_ns, clock_uncertainty_ns=clock.uncertainty_ns)
            trace = self._trace(attempt, window, clock)
            account.update(samples=len(trace), rate_hz=trace.rate_hz)
            self._refuse_gap(trace, window)
            traits = Traits(
                self.meter.resolution_w * 1e6,
                self.meter.accuracy_ratio,
                self.meter.update_s + clock.uncertainty_ns / _NS_PER_S,
            )
            before, after = (_idle(trace, one, traits) for one in (attempt.idle_before, attempt.idle_after))
            idle = idle_between(before, after)
            figures = power_figures(trace, window, idle, traits)
        except NoFigure as error:
            account["reason"] = str(error)
            return JoinedPower(attempt.attempt, {}, account, trace.to_json() if trace else None)
        account.update(
            idle_w=idle.mean_w if idle else None,
            idle_u95_w=idle_u95_w(idle) if idle else None,
            idle_before_w=before.mean_w if before else None,
            idle_after_w=after.mean_w if after else None,
            invoked_ratio=window.invoked_ratio,
            energy_reason=_energy_reason(attempt, idle),
            caution=self._caution(trace, window),
        )
        return JoinedPower(attempt.attempt, figures, account, trace.to_json())

    def _trace(self, attempt: MeteredAttempt, window: Window, clock: ClockOffset) -> Trace:
        """Return the readings from before the idle time before the attempt until after that behind."""
        margin_ns = _MARGIN_PERIODS * self._period_ns
        idle = [one for one in (attempt.idle_before, attempt.idle_after) if one]
        begin_ns = min([window.begin_ns, *(begin for begin, _ in idle)])
        end_ns = max([window.end_ns, *(end for _, end in idle)])
        first = bisect_left(self._times, begin_ns + clock.offset_ns - margin_ns)
        last = bisect_right(self._times, end_ns + clock.offset_ns + margin_ns)
        trace = Trace(SourceKind.POWER_GAUGE, is_mean=self.meter.kind in _MEANS)
        for reading in self._readings[first:last]:
            stamp_ns = reading.unix_ns - clock.offset_ns
            if stamp_ns >= 0:
                trace.add(stamp_ns, round(reading.watts * 1e6))
        if not len(trace):
            raise NoFigure("the meter has no reading of that time")
        return trace

    def _refuse_gap(self, trace: Trace, window: Window) -> None:
        """Raise NoFigure if the meter was silent within the window, which interpolation would pass over."""
        stamps = trace.stamps_ns
        first = max(0, bisect_right(stamps, window.begin_ns) - 1)
        last = min(len(stamps) - 1, bisect_left(stamps, window.end_ns))
        gap_ns = max((stamps[index + 1] - stamps[index] for index in range(first, last)), default=0)
        if gap_ns > _GAP_PERIODS * self._period_ns:
            raise NoFigure(f"the meter was silent for {gap_ns / _NS_PER_S:.3g} s within the window")

    def _caution(self, trace: Trace, window: Window) -> str | None:
        words = []
        if trace.count_within(window.begin_ns, window.end_ns) < READINGS_WANTED:
            words.append(f"the window holds fewer than {READINGS_WANTED} readings of the meter")
        if window.holds_much_besides:
            words.append("the window holds more than inferences: energy per inference includes what was done besides")
        return "; ".join(words) or None


def shifted(clocks: Sequence[ClockOffset], offset_s: float, uncertainty_s: float) -> Sequence[ClockOffset]:
    """Return the clocks for a meter whose own clock is `offset_s` ahead of the controller's, give or take."""
    return [
        replace(
            clock,
            offset_ns=clock.offset_ns + round(offset_s * _NS_PER_S),
            uncertainty_ns=clock.uncertainty_ns + round(uncertainty_s * _NS_PER_S),
        )
        for clock in clocks
    ]


def _window(attempt: MeteredAttempt) -> Window:
    if attempt.window is None:
        raise NoFigure("the trial reported no window")
    return Window(*attempt.window, attempt.inferences, attempt.invoked_ns, attempt.items)


def _clock_for(attempt: MeteredAttempt, clocks: Sequence[ClockOffset]) -> ClockOffset:
    """Return the comparison of clocks nearest to an attempt, with the drift since then in the uncertainty."""
    if not clocks or attempt.window is None:
        raise NoFigure(_NO_CLOCK)
    end_ns = attempt.window[1]
    clock = min(clocks, key=lambda one: abs(end_ns + one.offset_ns - one.asked_unix_ns))
    finished_ns = attempt.finished_unix_ns
    if finished_ns is not None and abs(end_ns + clock.offset_ns - finished_ns) > _REBOOT_S * _NS_PER_S:
        # Monotonic time begins anew with each boot, and then says nothing of the time compared.
        raise NoFigure("the device was booted again, or its clock was set, since its clock was compared")
    drift_ns = round(abs(end_ns + clock.offset_ns - clock.asked_unix_ns) * _DRIFT)
    return replace(clock, uncertainty_ns=clock.uncertainty_ns + drift_ns)


def _idle(trace: Trace, borders: tuple[int, int] | None, traits: Traits) -> Idle | None:
    """Return the idle power of a time, or None without such a time or without enough readings."""
    if borders is None:
        return None
    part = Trace(trace.kind, is_mean=trace.is_mean)
    first, last = bisect_left(trace.stamps_ns, borders[0]), bisect_right(trace.stamps_ns, borders[1])
    for index in range(first, last):
        part.add(trace.stamps_ns[index], trace.values[index])
    try:
        return idle_of(part, traits)
    except NoFigure:
        return None


def _energy_reason(attempt: MeteredAttempt, idle: Idle | None) -> str | None:
    if not attempt.inferences:
        return "no latency_ns sample says how many inferences the window held"
    if idle is not None:
        return None
    if attempt.idle_before is None and attempt.idle_after is None:
        return "no idle time was kept for a meter: `power` of the inventory names none"
    return "idle power is unknown: the meter has fewer than 20 readings of the idle times"
