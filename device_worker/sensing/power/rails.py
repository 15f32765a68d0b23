"""Choose, of the rails that the monitors of a board measure, the one that feeds the whole board.

Some rails feed others, and the sum of all would count energy twice. Only the board's supply is therefore read: the only
rail in use, or the only rail with a supply's label (VDD_IN, POM_5V_IN, VIN).
"""

from __future__ import annotations

import time

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.plausible import POWER_W
from device_worker.sensing.power.base import Implausible, PowerSource, Unreadable, explain_unreadable
from device_worker.system import system_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

_SUPPLY_LABELS = ("_IN", "VIN", "DCIN")
_NOT_CONNECTED = ("NC", "N/C", "N.C.", "NOT CONNECTED", "NOT_CONNECTED", "UNCONNECTED", "UNUSED")
_INPUT = "_input"
_UW_PER_W = 1000000
_STEP_UW = 25000.0  # of an INA226 with 1 mA a step, whose power has 25 times that
_ACCURACY_RATIO = 0.02  # 1 % of the chip at most, and 1 % of the usual shunt
_FIRST_READINGS = 5
_FIRST_PAUSE_S = 0.04


class Rail:
    """A rail, by the files whose product is the power. `unit_uw` are the microwatts of a product of one.

    `label` is the rail's name on the board, or None. `chip` names the monitor.
    """

    def __init__(self, chip: str, label: str | None, paths: Sequence[str], unit_uw: int = 1) -> None:
        self.label = label
        self.name = f"{chip} {label}" if label else chip
        self.paths = tuple(paths)
        faults = [path[: -len(_INPUT)] + "_fault" for path in paths if path.endswith(_INPUT)]
        self._faults = tuple(filter(system_files.exists, faults))
        self.unit_uw = unit_uw
        self.update_s = 0.0
        self.step_uw = _STEP_UW

    @property
    def is_supply(self) -> bool:
        """Whether the label names the rail that feeds the whole board."""
        return (self.label or "").upper().endswith(_SUPPLY_LABELS)

    @property
    def is_connected(self) -> bool:
        """Whether the label does not say that nothing is connected."""
        return (self.label or "").upper() not in _NOT_CONNECTED

    def read(self) -> int | None:
        """Return microwatts, or None for a failed reading. Raise Implausible for what no supply can be."""
        power_uw = self.unit_uw
        for fault in self._faults:
            if system_files.read_int(fault) == 1:
                raise Implausible(f"{fault}: the driver reports a fault of the sensor")
        for path in self.paths:
            value = system_files.read_int(path)
            if value is None:
                return None
            if value < 0:  # the offset of a shunt that carries next to nothing
                raise Implausible(f"{path} is negative")
            power_uw *= value
        if power_uw / _UW_PER_W not in POWER_W:
            raise Implausible(POWER_W.objection(self.name, power_uw / _UW_PER_W))
        return power_uw


class RailSource(PowerSource):
    """The power of the board's supply."""

    kind = SourceKind.POWER_GAUGE
    accuracy_ratio = _ACCURACY_RATIO

    def __init__(self, system: str, rail: Rail) -> None:
        self._rail = rail
        self.name = f"{system} {rail.name}"
        self.period_s = max(PowerSource.period_s, rail.update_s)
        self.is_mean = rail.update_s >= self.period_s  # between two updates, the chip averages its conversions
        self.update_s = rail.update_s
        self.resolution = rail.step_uw

    def read(self) -> int | None:
        """Return the present microwatts, or None for a failed reading. Raise Implausible."""
        return self._rail.read()


def open_supply(system: str, rails: Sequence[Rail]) -> RailSource | None:
    """Return the source for the board's supply, or None without a rail. `system` names the kernel's interface.

    Raise Unreadable if no rail, or more than one, can be the supply, or if the supply cannot be read.
    """
    wired = [rail for rail in rails if rail.is_connected]
    if not wired:
        return None
    supplies = [rail for rail in wired if rail.is_supply] if len(wired) > 1 else wired
    if len(supplies) != 1:
        names = ", ".join(rail.name for rail in wired)
        raise Unreadable(f"none of these rails is known to be the board's only supply: {names}")
    _refuse_unreadable(supplies[0])
    return RailSource(system, supplies[0])


def _refuse_unreadable(rail: Rail) -> None:
    """Raise Unreadable with the reason if no reading of a rail makes sense."""
    reason = ""
    for attempt in range(_FIRST_READINGS):
        if attempt:  # an offset around zero shows as a negative reading now and then: the next one tells
            time.sleep(_FIRST_PAUSE_S)
        try:
            power_uw = rail.read()
            if power_uw is None:
                raise Unreadable(_explain(rail))
            if power_uw:
                return
            # The voltage or the current is measured nowhere: a figure of no energy would be wrong.
            reason = f"{rail.name} says 0 W for a board that is on"
        except Implausible as error:
            reason = str(error)
    raise Unreadable(reason)


def _explain(rail: Rail) -> str:
    for path in rail.paths:
        if system_files.read_int(path) is None:
            return explain_unreadable(path)
    return f"{rail.paths[0]} could not be read a moment ago"
