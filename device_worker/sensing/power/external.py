"""Keep a device's times of idleness for a meter that the controller reads.

The device cannot read such a meter. The device makes windows long enough for it, waits while nothing runs, and tells
when that was: the controller computes the figures from the readings (`benchfleet power import`).
"""

from __future__ import annotations

import time

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.account import blank_account
from device_worker.sensing.power.base import PowerSource
from device_worker.sensing.power.window import explain_shortness, lengthen, window_s_min

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import MeasureRule
    from device_worker.sensing.power.account import Measured
    from device_worker.system.wakeups import SignalWakeups

NOT_JOINED = "the readings of the controller's meter have not been joined yet"
_IDLE_S_MAX = 60.0
_SETTLE_S = 0.1


class _FarSource(PowerSource):
    """Stands for the meter where the window's length is computed."""

    kind = SourceKind.POWER_GAUGE
    name = "the controller's meter"

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s

    def read(self) -> None:
        """Return None: the device cannot read the meter."""


class ExternalMeter:
    """Stands for the meter of a device whose power the controller reads every `period_s`."""

    def __init__(self, period_s: float, idle_s: float) -> None:
        self._source = _FarSource(period_s)
        self._idle_s = min(max(idle_s, window_s_min(self._source)), _IDLE_S_MAX) if idle_s else 0.0
        self._last_idle: list[int] | None = None
        self._is_idle_measured = False
        self._shortness: str | None = None

    def lengthen(self, measure: MeasureRule, trial_timeout_s: float) -> MeasureRule:
        """Return the measuring rule, with a window long enough for the meter's readings."""
        self._shortness = explain_shortness(measure, self._source, trial_timeout_s)
        if self._shortness is not None:  # no figure, and nothing to wait for
            self._idle_s = 0.0
        return lengthen(measure, self._source, trial_timeout_s)

    def measure_idle(self, wakeups: SignalWakeups) -> bool:
        """Wait while nothing runs, unless waited before. Return True if the runner was told to stop."""
        if not self._is_idle_measured and self._idle_s:
            self._stay_idle(wakeups)
        self._is_idle_measured = True
        return wakeups.is_stopping

    def new_sampler(self) -> None:
        """Return None: there is nothing to sample."""

    def explain_absence(self) -> dict[str, Any]:
        """Return the account of a trial that the controller has still to judge."""
        return blank_account(self._shortness or NOT_JOINED)

    def judge(
        self, sampler: object, measured: Measured, wakeups: SignalWakeups
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return no metrics, and an account with the times in which nothing ran before the trial and after."""
        account = self.explain_absence()
        account["idle_windows"] = {"before": self._last_idle, "after": None}
        if self._idle_s and not wakeups.is_stopping:
            account["idle_windows"]["after"] = self._stay_idle(wakeups)
        return [], account

    def _stay_idle(self, wakeups: SignalWakeups) -> list[int]:
        wakeups.wait(_SETTLE_S)
        begin_ns = time.monotonic_ns()
        wakeups.wait(self._idle_s)
        self._last_idle = [begin_ns, time.monotonic_ns()]
        return self._last_idle
