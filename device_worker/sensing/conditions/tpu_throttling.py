"""Watch for a Coral accelerator that is so hot that its driver slows the accelerator down."""

from __future__ import annotations

from device_worker.sensing.conditions.base import Condition
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading

_APEX = "/sys/class/apex"


class TpuThrottling(Condition):
    """Whether any Coral accelerator on PCIe is at or above the first trip point of its driver.

    Source: the driver `apex` halves the clock from `trip_point0_temp` on. Temperatures are in thousandths of a degree.
    """

    reading = "tpu_throttled"
    limit = None  # a throttled accelerator makes any figure unfit
    invalid = "tpu-throttled"

    def read(self) -> bool | None:
        """Return whether an accelerator is too hot, or None where none tells both temperatures."""
        found = [_is_hot(folder) for folder in system_files.list_folder(_APEX, "apex_")]
        known = [is_hot for is_hot in found if is_hot is not None]
        return any(known) if known else None

    def explain_unknown(self) -> str:
        """Return the reason for an unknown reading."""
        return "no Coral accelerator with a temperature and a trip point (a Coral on USB tells neither)"

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if either reading is True."""
        return before is True or after is True


def _is_hot(folder: str) -> bool | None:
    temperature, trip = (system_files.read_int(f"{folder}/{name}") for name in ("temp", "trip_point0_temp"))
    return None if temperature is None or trip is None or trip <= 0 else temperature >= trip
