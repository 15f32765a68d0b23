"""Estimate the power of a Raspberry Pi 5 from the rails of its power management chip.

The firmware prints current and voltage of twelve rails: `VDD_CORE_A current(7)=0.75012000A` and `VDD_CORE_V
volt(15)=0.87247780V`, or `VDD_CORE_A=0.75012000A` without a channel. The sum of the products leaves out what the chip
loses, and what hangs at the 5 V rail (USB, HATs): an estimate, below the true power.
"""

from __future__ import annotations

import re

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power.base import Lost, PowerSource, Unreadable
from device_worker.system import system_files

_PROGRAM = "vcgencmd"
_COMMAND = "pmic_read_adc"
_PERIOD_S = 0.25  # a reading is a process of its own, of some 5 ms
_RUN_S_MAX = 2.0
_ATTEMPTS = 2
_UW_PER_W = 1e6
_STEP_UW = 10000.0
_ACCURACY_RATIO = 0.1
_RAIL = re.compile(r"^\s*(\w+)_([AV])(?:\s+(?:current|volt)\(\d+\))?\s*=\s*([0-9.]+)([AV])\s*$", re.MULTILINE)


class PmicSource(PowerSource):
    """The sum of all rails whose current and voltage are both known."""

    kind = SourceKind.POWER_GAUGE
    name = "pmic"
    period_s = _PERIOD_S
    update_s = _RUN_S_MAX / 100
    resolution = _STEP_UW
    accuracy_ratio = _ACCURACY_RATIO
    is_estimate = True

    def __init__(self, rails: frozenset[str]) -> None:
        self._rails = rails

    def read(self) -> int | None:
        """Return the present microwatts, or None for a failed reading. Raise Lost if a rail is missing."""
        for _attempt in range(_ATTEMPTS):
            watts = _read_rails()
            if watts is not None:
                missing = self._rails.difference(watts)
                if missing:  # a sum of fewer rails would be a lower power
                    raise Lost(f"{_PROGRAM} {_COMMAND} lacks {', '.join(sorted(missing))}")
                return round(sum(watts[rail] for rail in self._rails) * _UW_PER_W)
        return None


def open_source() -> PmicSource | None:
    """Return the source, or None on a board without such a chip. Raise Unreadable if the firmware does not answer."""
    model = system_files.read_text("/proc/device-tree/model") or ""
    model = model or system_files.read_text("/sys/firmware/devicetree/base/model") or ""
    if "Raspberry Pi" not in model or " 5" not in model:
        return None  # older boards print an error, after a process each time
    if system_files.find_program(_PROGRAM) is None:
        raise Unreadable(f"{_PROGRAM} is not installed")
    watts = _read_rails()
    if watts is None:
        raise Unreadable(f"{_PROGRAM} {_COMMAND} told no rails: may this user use /dev/vcio (group video)?")
    return PmicSource(frozenset(watts))


def _read_rails() -> dict[str, float] | None:
    """Return the watts of each rail with current and voltage, or None without any."""
    printed = system_files.run_program(_PROGRAM, _COMMAND, timeout_s=_RUN_S_MAX)
    return parse_rails(printed) if printed else None


def parse_rails(printed: str) -> dict[str, float] | None:
    """Return the watts of each rail in the firmware's words, or None without any."""
    values: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for rail, kind, number, unit in _RAIL.findall(printed):
        value = system_files.parse_float(number)
        if value is not None and kind == unit:
            values[kind][rail] = value
    watts = {rail: amperes * values["V"][rail] for rail, amperes in values["A"].items() if rail in values["V"]}
    return watts or None
