"""Measure the energy of trials above idle power, with the device's own power source."""

from __future__ import annotations

from device_worker.sensing.plausible import POWER_W
from device_worker.sensing.power.opening import blank_account
from device_worker.sensing.power.trace import NoFigure, TooFewReadings, describe_share
from device_worker.sensing.power.window import (
    MEANS_WANTED,
    explain_early_end,
    explain_shortness,
    lengthen,
    window_s_min,
)
from device_worker.system.patient_reader import PatientReader
from device_worker.system.runner_log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import MeasureRule
    from device_worker.sensing.power.base import PowerSource
    from device_worker.sensing.power.sampler import Sampler
    from device_worker.sensing.power.trace import Trace
    from device_worker.system.wakeups import SignalWakeups

_IDLE_S_MAX = 60.0
_UJ_PER_MJ = 1000.0
_W_PER_UJ_NS = 1000.0
_NS_PER_S = 1e9
_NO_IDLE_POWER = "idle power was not measured"


class Meter:
    """The power source of a runner, and the idle power in watts once measured.

    `idle_s` is the time for measuring idle power, 0 for none.
    """

    def __init__(self, source: PowerSource, idle_s: float, reader: PatientReader | None = None) -> None:
        self.idle_w: float | None = None
        self._source = source
        self._idle_s = idle_s
        if idle_s:
            self._idle_s = min(max(idle_s, window_s_min(source)), _IDLE_S_MAX)  # a slow source needs longer
        self._idle_reason = _NO_IDLE_POWER
        self._idle_standstill: int | None = None  # the one reading of an idle power that never moved
        self._shortness: str | None = None
        self._measure: MeasureRule | None = None  # as told to the trials
        self._is_idle_measured = False
        self._last_sampler: Sampler | None = None
        self._reader = reader or PatientReader(in_runner=True)

    def lengthen(self, measure: MeasureRule, trial_timeout_s: float) -> MeasureRule:
        """Return the measuring rule, with a window long enough for the source's readings."""
        self._shortness = explain_shortness(measure, self._source, trial_timeout_s)
        self._measure = lengthen(measure, self._source, trial_timeout_s)
        return self._measure

    def measure_idle(self, wakeups: SignalWakeups) -> bool:
        """Measure idle power, unless measured before. Return True if the runner was told to stop."""
        if not self._is_idle_measured and self._idle_s:
            sampler = self.new_sampler()
            if sampler is not None:
                sampler.begin()
                if not sampler.is_stuck:
                    wakeups.wait(self._idle_s)
                sampler.end()
                self._judge_idle(sampler)
        self._is_idle_measured = True
        return wakeups.is_stopping

    def new_sampler(self) -> Sampler | None:
        """Return a sampler after a first reading, or None if the source does not answer."""
        # A stuck source still blocks the thread of the last sampler, and would block another thread for each trial.
        if self._last_sampler is not None and self._last_sampler.is_stuck:
            return None
        from device_worker.sensing.power.sampler import Sampler

        self._last_sampler = Sampler(self._source, self._reader)
        return self._last_sampler

    def explain_absence(self) -> dict[str, Any]:
        """Return the account of a trial without a sampler, with the reason."""
        sampler = self._last_sampler
        return self._account(None, sampler.trace.lost if sampler is not None and sampler.is_stuck else None)

    def judge(
        self, sampler: Sampler, window: dict[str, Any] | None, inferences: int, runs: int = 0
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the metrics of an ended recording, and the account of how the metrics were measured.

        `window` holds `begin_mono_ns` and `end_mono_ns`. `inferences` is the number of inferences in the window,
        and `runs` the number of latency samples. Without a figure, the account gives the reason.
        """
        account = self._account(sampler, None)
        try:
            begin_ns, end_ns = _borders(window)
            self._refuse_standstill(sampler)
            energy_uj = sampler.trace.energy_uj(begin_ns, end_ns)
            _refuse_implausible(sampler.source_name, energy_uj / (end_ns - begin_ns) * _W_PER_UJ_NS)
        except NoFigure as error:
            account["reason"] = sampler.trace.lost or self._explain(error, window, runs)
            return [], account
        account["caution"] = self._caution(sampler.trace, sampler.trace.count_within(begin_ns, end_ns))
        found, account["energy_reason"] = self._figures(energy_uj, end_ns - begin_ns, inferences)
        source = sampler.source_name
        return [{"name": name, "value": value, "source": source} for name, value in found.items()], account

    def _account(self, sampler: Sampler | None, reason: str | None) -> dict[str, Any]:
        source = self._source
        account = blank_account(reason)
        account.update(source=source.name, kind=source.kind, period_s=source.period_s, idle_w=self.idle_w)
        if sampler is not None:
            account.update(
                samples=len(sampler.trace), rate_hz=sampler.trace.rate_hz, overhead_cpu_ns=sampler.overhead_cpu_ns
            )
        return account

    def _figures(self, energy_uj: float, duration_ns: int, inferences: int) -> tuple[dict[str, float], str | None]:
        """Return the figures by metric, and the reason if there is no energy above idle."""
        figures = {"power_mean_w": energy_uj / duration_ns * _W_PER_UJ_NS}
        if self.idle_w is not None:
            figures["power_idle_w"] = self.idle_w
        if not inferences:
            return figures, "no latency_ns sample says how many inferences the window held"
        figures["energy_gross_mj"] = energy_uj / _UJ_PER_MJ / inferences
        if self.idle_w is None:
            return figures, self._idle_reason
        above_idle_uj = energy_uj - self.idle_w * duration_ns / _W_PER_UJ_NS
        if above_idle_uj <= 0:  # the idle power was measured under other conditions: no figure, not a negative figure
            return figures, "the device took more power when it was idle"
        figures["energy_mj"] = above_idle_uj / _UJ_PER_MJ / inferences
        return figures, None

    def _refuse_standstill(self, sampler: Sampler) -> None:
        """Raise NoFigure if the trial has not moved a sensor that never moved while the device was idle."""
        # Two moments of a device take exactly the same power by chance, but not each of dozens, idle and busy.
        trace = sampler.trace
        if self._idle_standstill is not None and trace.is_stuck and trace.values[0] == self._idle_standstill:
            raise NoFigure(
                f"{sampler.source_name} has given {trace.values[0]} microwatts in every reading, idle and busy: "
                "the sensor stands still"
            )

    def _judge_idle(self, sampler: Sampler) -> None:
        """Set idle power to the mean power of a whole recording, or set the reason for having none."""
        stamps_ns = sampler.trace.stamps_ns
        self._idle_standstill = sampler.trace.values[0] if sampler.trace.is_stuck else None
        try:
            begin_ns, end_ns = (stamps_ns[0], stamps_ns[-1]) if stamps_ns else (0, 0)
            self.idle_w = sampler.trace.energy_uj(begin_ns, end_ns) / (end_ns - begin_ns) * _W_PER_UJ_NS
        except NoFigure as error:
            self._idle_reason = f"idle power is unknown: {error}"
            log(f"no idle power, so no energy above it: {error}")

    def _explain(self, error: NoFigure, window: dict[str, Any] | None, runs: int) -> str:
        if not isinstance(error, TooFewReadings):
            return str(error)
        shortness = self._shortness
        if shortness is None and self._measure is not None:
            begin_ns, end_ns = _borders(window)
            shortness = explain_early_end(self._measure, runs, (end_ns - begin_ns) / _NS_PER_S)
        return str(error) if shortness is None else f"{error}: {shortness}"

    def _caution(self, trace: Trace, readings: int) -> str | None:
        source, words = self._source, []
        if trace.discarded:
            words.append(
                f"{describe_share(trace.discarded_ratio)} of the readings were left out: {trace.why_discarded()}"
            )
        if source.is_mean and readings < MEANS_WANTED:
            words.append(
                f"the window holds {readings} readings, fewer than {MEANS_WANTED}: each is the mean of the "
                f"{source.period_s:g} s before it, so that a figure may be off by some per cent"
            )
        return "; ".join(words) or None


def _refuse_implausible(source: str, watts: float) -> None:
    """Raise NoFigure for a mean power that no device takes: of a counter, a unit other than the kernel's."""
    if watts not in POWER_W:
        raise NoFigure(POWER_W.objection(source, watts))


def _borders(window: dict[str, Any] | None) -> tuple[int, int]:
    begin_ns, end_ns = (window or {}).get("begin_mono_ns"), (window or {}).get("end_mono_ns")
    if not isinstance(begin_ns, int) or not isinstance(end_ns, int):
        raise NoFigure("the trial reported no window")
    return begin_ns, end_ns
