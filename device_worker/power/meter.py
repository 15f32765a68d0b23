"""Measure the energy of trials with the device's own power source, above what it takes when idle."""

from __future__ import annotations

from device_worker import power
from device_worker.power.trace import NoFigure
from device_worker.runner_log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.power.base import PowerSource
    from device_worker.power.sampler import Sampler
    from device_worker.wakeups import SignalWakeups

_IDLE_S_MAX = 60.0
_UJ_PER_MJ = 1000.0
_W_PER_UJ_NS = 1000.0


class Meter:
    """The power source of a runner, if the device has one, and the idle power that was measured with it."""

    def __init__(self, source: PowerSource | None, idle_s: float) -> None:
        self.idle_w: float | None = None
        self._source = source
        self._idle_s = min(idle_s, _IDLE_S_MAX)
        self._is_idle_measured = False
        self._last_sampler: Sampler | None = None

    @classmethod
    def open(cls, idle_s: float) -> Meter:
        """Return the meter of this device, which will measure its idle power for so long."""
        return cls(power.open_source(), idle_s)

    def measure_idle(self, wakeups: SignalWakeups) -> bool:
        """Measure, once, what the device takes when it waits; return whether the runner was told to stop."""
        if not self._is_idle_measured and self._idle_s:
            sampler = self.new_sampler()
            if sampler is not None:
                sampler.begin()
                wakeups.wait(self._idle_s)
                sampler.end()
                self.idle_w = _idle_power_w(sampler)
        self._is_idle_measured = True
        return wakeups.is_stopping

    def new_sampler(self) -> Sampler | None:
        """Return a sampler that has taken its first reading; None, and nothing paid, without a source that answers."""
        if self._source is None or (self._last_sampler is not None and self._last_sampler.is_stuck):
            return None
        from device_worker.power.sampler import Sampler

        self._last_sampler = Sampler(self._source)
        return self._last_sampler

    def judge(
        self, sampler: Sampler, window: dict[str, Any] | None, inferences: int
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the metrics that an ended recording supports, and how they were measured."""
        account: dict[str, Any] = {
            "source": sampler.source_name,
            "samples": len(sampler.trace),
            "rate_hz": sampler.trace.rate_hz,
            "idle_w": self.idle_w,
            "overhead_cpu_ns": sampler.overhead_cpu_ns,
            "reason": None,
        }
        try:
            begin_ns, end_ns = _borders(window)
            energy_uj = sampler.trace.energy_uj(begin_ns, end_ns)
        except NoFigure as error:
            account["reason"] = sampler.trace.lost or str(error)
            return [], account
        found = self._figures(energy_uj, end_ns - begin_ns, inferences)
        return [{"name": name, "value": value} for name, value in found.items()], account

    def _figures(self, energy_uj: float, duration_ns: int, inferences: int) -> dict[str, float]:
        figures = {"power_mean_w": energy_uj / duration_ns * _W_PER_UJ_NS}
        if inferences:
            figures["energy_gross_mj"] = energy_uj / _UJ_PER_MJ / inferences
        if self.idle_w is not None:
            figures["power_idle_w"] = self.idle_w
            above_idle_uj = energy_uj - self.idle_w * duration_ns / _W_PER_UJ_NS
            if inferences and above_idle_uj > 0:  # else the device was busier when it should have been idle
                figures["energy_mj"] = above_idle_uj / _UJ_PER_MJ / inferences
        return figures


def _idle_power_w(sampler: Sampler) -> float | None:
    """Return the mean power of a whole recording, if it supports one."""
    stamps_ns = sampler.trace.stamps_ns
    try:
        begin_ns, end_ns = (stamps_ns[0], stamps_ns[-1]) if stamps_ns else (0, 0)
        return sampler.trace.energy_uj(begin_ns, end_ns) / (end_ns - begin_ns) * _W_PER_UJ_NS
    except NoFigure as error:
        log(f"no idle power, so no energy above it: {error}")
        return None


def _borders(window: dict[str, Any] | None) -> tuple[int, int]:
    begin_ns, end_ns = (window or {}).get("begin_mono_ns"), (window or {}).get("end_mono_ns")
    if not isinstance(begin_ns, int) or not isinstance(end_ns, int):
        raise NoFigure("the trial reported no window")
    return begin_ns, end_ns
