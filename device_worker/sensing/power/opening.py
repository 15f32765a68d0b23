"""Open the meter of a device. Most devices have no power source, and then the code that measures is not imported."""

from __future__ import annotations

from device_worker.sensing import power
from device_worker.system.patient_reader import PatientReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Union

    from device_worker.protocol.specification import MeasureRule
    from device_worker.sensing.power.external import ExternalMeter
    from device_worker.sensing.power.meter import Meter
    from device_worker.system.wakeups import SignalWakeups

    AnyMeter = Union[Meter, ExternalMeter, "AbsentMeter"]


class Measured:
    """What a trial reported of its measured part.

    `window` holds `begin_mono_ns` and `end_mono_ns`. `inferences` is the number of inferences in the window, and
    `invoked_ns` the time that these took together. `runs` is the number of latency samples, `batch` the number of items
    of an inference.
    """

    __slots__ = ("batch", "inferences", "invoked_ns", "runs", "window")

    def __init__(
        self,
        window: dict[str, Any] | None,
        inferences: int,
        runs: int = 0,
        invoked_ns: int = 0,
        batch: int | None = None,
    ) -> None:
        self.window = window
        self.inferences = inferences
        self.runs = runs
        self.invoked_ns = invoked_ns
        self.batch = batch


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


def blank_account(reason: str | None) -> dict[str, Any]:
    """Return the account of a trial of which nothing was measured."""
    return {
        "source": None,
        "kind": None,
        "period_s": None,
        "samples": 0,
        "rate_hz": None,
        "idle_w": None,
        "idle_u95_w": None,
        "idle_before_w": None,
        "idle_after_w": None,
        "idle_windows": None,
        "invoked_ratio": None,
        "is_estimate": None,
        "accuracy_ratio": None,
        "overhead_cpu_ns": 0,
        "reason": reason,
        "energy_reason": None,
        "caution": None,
        "trace": None,
    }
