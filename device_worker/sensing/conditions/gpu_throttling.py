"""Watch for a GPU held back by heat or by its supply, by the reasons that NVIDIA's driver gives for its clocks."""

from __future__ import annotations

from device_worker.sensing.conditions.base import Condition
from device_worker.sensing.power import nvml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading

_NO_DRIVER = "there is no NVIDIA driver"


class GpuThrottling(Condition):
    """Whether heat or the supply hold a GPU back, now or since the reading before.

    A power cap that is reached is none of that: a GPU under load is at its cap by design. Between readings the driver
    counts the time under heat.
    """

    reading = "gpu_throttled"
    limit = None  # a throttled GPU makes any figure unfit
    invalid = "gpu-throttled"

    def __init__(self) -> None:
        self._clocks: nvml.GpuClocks | None = None
        self._held_back_ns: int | None = None
        self._reason: str | None = None

    def read(self) -> bool | None:
        """Return whether a GPU was held back, and remember the time that the driver has counted."""
        if self._reason is not None:  # once: a device has a driver or none
            return None
        try:
            if self._clocks is None:
                self._clocks = nvml.open_clocks()
            if self._clocks is None:
                self._reason = _NO_DRIVER
                return None
            is_now, held_back_ns = self._clocks.read()
        except nvml.NvmlError as error:
            self._reason = str(error)
            return None
        before, self._held_back_ns = self._held_back_ns, held_back_ns
        since = before is not None and held_back_ns is not None and held_back_ns > before
        return is_now or since

    def explain_unknown(self) -> str:
        """Return the reason for an unknown reading."""
        return self._reason or _NO_DRIVER

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if either reading is True."""
        return before is True or after is True
