"""Watch for a CPU held back by heat or by a weak supply."""

from __future__ import annotations

from device_worker.sensing.conditions.base import Condition
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.sensing.conditions.base import Reading

_PI_THROTTLED_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_PI_NOW_BITS = 0xF
_CPUS = "/sys/devices/system/cpu"


class Throttling(Condition):
    """Whether heat or a weak supply hold the CPU back, now or since the reading before.

    A Raspberry Pi has bits for now, and bits that stay set until the next boot. x86 counts throttle events. If a
    counter is the only evidence, the first reading is None.
    """

    reading = "throttled"
    limit = None  # a throttled CPU makes any figure unfit
    invalid = "throttled"

    def __init__(self) -> None:
        self._sticky_bits: int | None = None
        self._count: int | None = None
        self._lacks_program = False

    def explain_unknown(self) -> str:
        """Return the reason for an unknown reading."""
        if self._count is not None:
            return "throttle events are counted, and this is the first look at the counter"
        return "the device has neither the bits of a Raspberry Pi nor the throttle counters of x86"

    def cannot_tell(self) -> str | None:
        """Return why the device has no evidence at all, or None. A counter is evidence from its second reading on."""
        has_bits = system_files.exists(_PI_THROTTLED_FILE) or system_files.find_program("vcgencmd") is not None
        has_counter = any(
            system_files.exists(f"{cpu}/thermal_throttle/core_throttle_count")
            for cpu in system_files.list_folder(_CPUS, "cpu")
        )
        return None if has_bits or has_counter else self.explain_unknown()

    def is_breached(self, before: Reading, after: Reading, limit: float | str | None) -> bool:
        """Return True if either reading is True."""
        return before is True or after is True

    def read(self) -> bool | None:
        """Return whether the CPU was throttled, and remember the bits or the count."""
        bits = self._read_pi_bits()
        if bits is not None:
            sticky, before = bits >> 16, self._sticky_bits
            self._sticky_bits = sticky  # a bit that was set at the first reading may be hours old
            return bool(bits & _PI_NOW_BITS) or (before is not None and bool(sticky & ~before))
        count, counted = _read_throttle_count(), self._count
        self._count = count
        return None if count is None or counted is None else count > counted

    def _read_pi_bits(self) -> int | None:
        bits = system_files.read_int(_PI_THROTTLED_FILE, 16)
        if bits is not None or self._lacks_program:
            return bits
        # Once: a search of the PATH costs as much as the other conditions, and a device is a Raspberry Pi or none.
        self._lacks_program = system_files.find_program("vcgencmd") is None
        printed = None if self._lacks_program else system_files.run_program("vcgencmd", "get_throttled")
        return system_files.parse_int((printed or "").partition("=")[2] or None, 16)  # throttled=0x50005


def _read_throttle_count() -> int | None:
    counts = [
        system_files.read_int(f"{cpu}/thermal_throttle/{name}")
        for cpu in system_files.list_folder(_CPUS, "cpu")
        for name in ("core_throttle_count", "package_throttle_count")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
