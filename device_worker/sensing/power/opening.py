"""Open the meter of a device. Most devices have no power source, and then the code that measures is not imported."""

from __future__ import annotations

from device_worker.sensing import power
from device_worker.sensing.power.account import blank_account
from device_worker.system.patient_reader import PatientReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Union

    from device_worker.protocol.specification import MeasureRule
    from device_worker.sensing.power.account import Measured
    from device_worker.sensing.power.external import ExternalMeter
    from device_worker.sensing.power.meter import Meter
    from device_worker.system.wakeups import SignalWakeups

    AnyMeter = Union[Meter, ExternalMeter, "AbsentMeter"]


class AbsentMeter:
    """Stands for the meter of a device without a power source. `reason` is why there is none."""

    def __init__(self, reason: str | None) -> None:
        self._reason = reason

    def lengthen(self, measure: MeasureRule, trial_timeout_s: float) -> MeasureRule:
        """Return the measuring rule as it is."""
        return measure

    def measure_idle(self, wakeups: SignalWakeups) -> bool:
        """Return True if the runner was told to stop."""
        return wakeups.is_stopping

    def new_sampler(self) -> None:
        """Return None: there is nothing to sample."""

    def explain_absence(self) -> dict[str, Any]:
        """Return the account of a trial, with the reason."""
        return blank_account(self._reason)

    def judge(
        self, sampler: object, measured: Measured, wakeups: SignalWakeups
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return no metrics, and the account."""
        return [], self.explain_absence()


def open_meter(idle_s: float, wanted: Sequence[str] | None = None, meter_period_s: float | None = None) -> AnyMeter:
    """Return the meter of the device, with `idle_s` seconds for measuring idle power.

    `wanted` names the sources to choose from, in order of preference. With `meter_period_s`, the controller reads a
    meter that often, and the device no source.
    """
    if meter_period_s is not None:
        from device_worker.sensing.power.external import ExternalMeter

        return ExternalMeter(meter_period_s, idle_s)
    reader = PatientReader(in_runner=True)
    source, absence = power.find_source(reader, wanted)
    if source is None:
        return AbsentMeter(absence)
    from device_worker.sensing.power.meter import Meter

    return Meter(source, idle_s, reader)
