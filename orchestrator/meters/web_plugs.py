"""Read smart plugs by HTTP: Shelly of the second generation and later, and Tasmota.

Sources: shelly-api-docs.shelly.cloud, Switch.GetStatus and PM1.GetStatus: `apower` in watts. tasmota.github.io/docs,
Status 8: `StatusSNS.ENERGY.Power` in watts, a list where the plug has several outlets.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.domain.errors import MeterFailed
from orchestrator.domain.meter import Meter, MeterReading

_ANSWER_BYTES_MAX = 64 << 10
_ANSWER_S_MAX = 5.0
_NOT_FOUND = 404


class ShellyPlug:
    """A Shelly of generation 2 or later: a switch with a meter, or a meter alone."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._component = "Switch"

    def read(self) -> Sequence[MeterReading]:
        """Return the present power. Raise MeterFailed."""
        try:
            return [self._ask()]
        except _NotFound:
            # A meter without a switch has a component of another name.
            self._component = "PM1" if self._component == "Switch" else "Switch"
        try:
            return [self._ask()]
        except _NotFound:
            raise MeterFailed(f"{self._meter.name}: it has no Switch and no PM1 {self._meter.channel}") from None

    def _ask(self) -> MeterReading:
        path = f"/rpc/{self._component}.GetStatus?id={self._meter.channel}"
        unix_ns, answer = _get(self._meter, path)
        return MeterReading(unix_ns, _watts(self._meter, answer.get("apower"), "apower"))


class TasmotaPlug:
    """A plug with Tasmota's firmware."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def read(self) -> Sequence[MeterReading]:
        """Return the present power. Raise MeterFailed."""
        try:
            unix_ns, answer = _get(self._meter, "/cm?cmnd=Status%208")
        except _NotFound:
            raise MeterFailed(f"{self._meter.name}: no Tasmota answers there") from None
        sensors = answer.get("StatusSNS")
        energy = sensors.get("ENERGY") if isinstance(sensors, Mapping) else None
        power = energy.get("Power") if isinstance(energy, Mapping) else None
        if isinstance(power, list):
            power = power[self._meter.channel] if self._meter.channel < len(power) else None
        return [MeterReading(unix_ns, _watts(self._meter, power, "StatusSNS.ENERGY.Power"))]


class _NotFound(Exception):
    """The plug has no such page."""


def _get(meter: Meter, path: str) -> tuple[int, Mapping[str, Any]]:
    """Return the time of an answer, and the answer. Raise MeterFailed, or _NotFound."""
    asked = time.time_ns()
    try:
        # The scheme was checked when the inventory was read.
        with urllib.request.urlopen(meter.place.rstrip("/") + path, timeout=_ANSWER_S_MAX) as answer:  # noqa: S310
            body = answer.read(_ANSWER_BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        if error.code == _NOT_FOUND:
            raise _NotFound from None
        raise MeterFailed(f"{meter.name}: HTTP status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise MeterFailed(f"{meter.name}: {reason}") from None
    answered = time.time_ns()
    try:
        said = json.loads(body) if len(body) <= _ANSWER_BYTES_MAX else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, Mapping):
        raise MeterFailed(f"{meter.name}: the answer is no JSON object of at most {_ANSWER_BYTES_MAX} bytes")
    return (asked + answered) // 2, said


def _watts(meter: Meter, value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise MeterFailed(f"{meter.name}: {key} is no power of channel {meter.channel}")
    return float(value)
