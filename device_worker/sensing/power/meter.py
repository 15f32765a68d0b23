"""Measure the energy of trials above idle power, with the device's own power source."""

from __future__ import annotations

from device_worker.protocol.energy import Window, idle_between, idle_of, idle_u95_w, power_figures
from device_worker.protocol.power_trace import READINGS_WANTED, NoFigure, TooFewReadings, describe_share
from device_worker.sensing.plausible import POWER_W
from device_worker.sensing.power.account import blank_account
from device_worker.sensing.power.window import explain_early_end, explain_shortness, lengthen, window_s_min
from device_worker.system.patient_reader import PatientReader
from device_worker.system.runner_log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.energy import Idle
    from device_worker.protocol.power_trace import Trace
    from device_worker.protocol.specification import MeasureRule
    from device_worker.sensing.power.account import Measured
    from device_worker.sensing.power.base import PowerSource
    from device_worker.sensing.power.sampler import Sampler
    from device_worker.system.wakeups import SignalWakeups

_IDLE_S_MAX = 60.0
_AFTER_SHARE = 0.25  # of the time for idle power before the first trial: this is spent after each trial
_SETTLE_S = 0.1
_NS_PER_S = 1e9
_NO_IDLE_POWER = "idle power was not measured"
_STORED_READINGS_MAX = 200000


class Meter:
    """The power source of a runner, and the last known idle power.

    `idle_s` is the time for measuring idle power before the first trial, 0 for no idle power at all.
    """

    def __init__(self, source: PowerSource, idle_s: float, reader: PatientReader | None = None) -> None:
        self.idle: Idle | None = None
        """The idle power measured last: that before the next trial."""

        self._source = source
        self._idle_s = self._after_s = 0.0
        if idle_s:  # a slow source needs longer
            self._idle_s = min(max(idle_s, window_s_min(source)), _IDLE_S_MAX)
            self._after_s = min(max(idle_s * _AFTER_SHARE, window_s_min(source)), _IDLE_S_MAX)
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
            self._watch_idle(wakeups, self._idle_s)
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
        self, sampler: Sampler | None, measured: Measured, wakeups: SignalWakeups
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the metrics of an ended recording, and the account of how the metrics were measured.

        Idle power is measured once more for that. Without a figure, the account gives the reason.
        """
        if sampler is None:
            return [], self.explain_absence()
        account = self._account(sampler, None)
        try:
            window = _window(measured)
            sampler.trace.energy_uj(window.begin_ns, window.end_ns)
        except NoFigure as error:  # and no idle power to wait for
            account["reason"] = sampler.trace.lost or self._explain(error, measured)
            return [], account
        before = self.idle
        after = self._watch_idle(wakeups, self._after_s) if self._after_s and not wakeups.is_stopping else None
        idle = idle_between(before, after)
        try:
            self._refuse_standstill(sampler)
            figures = power_figures(sampler.trace, window, idle, self._source.traits)
            _refuse_implausible(sampler.source_name, figures["power_mean_w"])
        except NoFigure as error:
            account["reason"] = str(error)
            return [], account
        account.update(
            idle_w=None if idle is None else idle.mean_w,
            idle_u95_w=None if idle is None else idle_u95_w(idle),
            idle_before_w=None if before is None else before.mean_w,
            idle_after_w=None if after is None else after.mean_w,
            invoked_ratio=window.invoked_ratio,
            energy_reason=self._explain_energy(window, idle),
            caution=self._caution(sampler.trace, window, is_idle_of_one_side=idle is not None and after is None),
        )
        source = sampler.source_name
        return [{"name": name, "value": value, "source": source} for name, value in figures.items()], account

    def _account(self, sampler: Sampler | None, reason: str | None) -> dict[str, Any]:
        source = self._source
        account = blank_account(reason)
        account.update(source=source.name, kind=source.kind, period_s=source.period_s)
        account.update(is_estimate=source.is_estimate, accuracy_ratio=source.accuracy_ratio)
        account.update(idle_w=None if self.idle is None else self.idle.mean_w)
        if sampler is not None:
            trace = sampler.trace
            account.update(samples=len(trace), rate_hz=trace.rate_hz, overhead_cpu_ns=sampler.overhead_cpu_ns)
            if 0 < len(trace) <= _STORED_READINGS_MAX:
                account["trace"] = trace.to_json()
        return account

    def _explain_energy(self, window: Window, idle: Idle | None) -> str | None:
        """Return the reason if there is no energy above idle, otherwise None."""
        if not window.inferences:
            return "no latency_ns sample says how many inferences the window held"
        return self._idle_reason if idle is None else None

    def _watch_idle(self, wakeups: SignalWakeups, seconds: float) -> Idle | None:
        """Measure idle power, and keep what was found for the next trial. Return None, with a reason kept, for none."""
        if self._is_idle_measured:
            wakeups.wait(_SETTLE_S)  # the kernel takes back what the trial's process had
        sampler = self.new_sampler()
        if sampler is None:
            return None
        sampler.begin()
        if not sampler.is_stuck and sampler.trace.lost is None:
            wakeups.wait(seconds)
        sampler.end()
        self._idle_standstill = sampler.trace.values[0] if sampler.trace.is_stuck else None
        try:
            found = idle_of(sampler.trace, self._source.traits)
        except NoFigure as error:
            self._idle_reason = f"idle power is unknown: {error}"
            log(f"no idle power: {error}")
            return None
        self.idle = found
        return found

    def _refuse_standstill(self, sampler: Sampler) -> None:
        """Raise NoFigure if the trial has not moved a sensor that never moved while the device was idle."""
        # Two moments of a device take exactly the same power by chance, but not each of dozens, idle and busy.
        trace = sampler.trace
        if self._idle_standstill is not None and trace.is_stuck and trace.values[0] == self._idle_standstill:
            raise NoFigure(
                f"{sampler.source_name} has given {trace.values[0]} microwatts in every reading, idle and busy: "
                "the sensor stands still"
            )

    def _explain(self, error: NoFigure, measured: Measured) -> str:
        if not isinstance(error, TooFewReadings):
            return str(error)
        shortness = self._shortness
        if shortness is None and self._measure is not None:
            window = _window(measured)
            window_s = (window.end_ns - window.begin_ns) / _NS_PER_S
            shortness = explain_early_end(self._measure, measured.runs, window_s)
        return str(error) if shortness is None else f"{error}: {shortness}"

    def _caution(self, trace: Trace, window: Window, *, is_idle_of_one_side: bool) -> str | None:
        words = []
        if trace.discarded:
            words.append(
                f"{describe_share(trace.discarded_ratio)} of the readings were left out: {trace.why_discarded()}"
            )
        if trace.count_within(window.begin_ns, window.end_ns) < READINGS_WANTED:
            words.append(f"the window holds fewer than {READINGS_WANTED} readings of {self._source.period_s:g} s each")
        if window.holds_much_besides:
            words.append("the window holds more than inferences: energy per inference includes what was done besides")
        if is_idle_of_one_side:
            words.append("idle power is known from before the trial alone")
        if self._source.is_estimate:
            words.append("the source is an estimate")
        return "; ".join(words) or None


def _refuse_implausible(source: str, watts: float) -> None:
    """Raise NoFigure for a mean power that no device takes: of a counter, a unit other than the kernel's."""
    if watts not in POWER_W:
        raise NoFigure(POWER_W.objection(source, watts))


def _window(measured: Measured) -> Window:
    said = measured.window or {}
    begin_ns, end_ns = said.get("begin_mono_ns"), said.get("end_mono_ns")
    if not isinstance(begin_ns, int) or not isinstance(end_ns, int):
        raise NoFigure("the trial reported no window")
    return Window(begin_ns, end_ns, measured.inferences, measured.invoked_ns, measured.batch)
