"""Estimate the time that the measurement of power adds to a plan: longer windows, and times in which nothing runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.device import Device
from orchestrator.domain.facts import Facts

READINGS_MIN = 20
READINGS_WANTED = 60
"""As in `device_worker.protocol.power_trace`; a test holds the two alike."""

_IDLE_S = 5.0
_IDLE_S_MAX = 60.0
_SETTLE_S = 0.1
_SPARE_READINGS = 2
_TIMEOUT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class PowerTime:
    """Hold what power adds: idleness before the first trial and after each one, and windows of `window_s` at least."""

    first_s: float = 0.0
    each_s: float = 0.0
    window_s: float = 0.0


def power_time(device: Device, facts: Facts, seconds_max: float, trial_timeout_s: float) -> PowerTime:
    """Return the time for power on a device. A device without a source, or with a rate too low for a figure, has none.

    The worker decides by the same rules (`device_worker/sensing/power/`), once it has opened the source.
    """
    period_s = _period_s(device, facts)
    if period_s is None:
        return PowerTime()
    bound_s = min(seconds_max, trial_timeout_s * _TIMEOUT_SHARE)
    shortest_s = (READINGS_MIN + _SPARE_READINGS) * period_s
    is_possible = bound_s >= shortest_s
    if not is_possible and device.meter is not None:
        return PowerTime()
    wanted_s = min((READINGS_WANTED + _SPARE_READINGS) * period_s, bound_s) if is_possible else 0.0
    first_s = min(max(_IDLE_S, shortest_s), _IDLE_S_MAX)
    # A meter of the controller is given as long after each trial as before the first one.
    after_s = first_s if device.meter is not None else min(max(_IDLE_S / 4, shortest_s), _IDLE_S_MAX)
    return PowerTime(first_s, _SETTLE_S + after_s, wanted_s)


def power_time_of_plan(document: bytes, device: Device, facts: Facts) -> PowerTime:
    """Return the time for power of a plan on record, such as of a run that is resumed."""
    plan = json.loads(document)
    return power_time(device, facts, plan["measure"]["seconds_max"], plan["limits"]["trial_timeout_s"])


def _period_s(device: Device, facts: Facts) -> float | None:
    """Return the time between two readings of the source that the device will take, or None without one."""
    if device.meter is not None:
        return device.meter.period_s
    sources = facts.values.get("power_sources")
    readable = [one for one in sources if isinstance(one, Mapping)] if isinstance(sources, list) else []
    # The inventory's order of preference comes before the device's own.
    # Rails are named by chip and label, not by kind: then the first readable source stands for them.
    for kind in (*(device.power_sources or ()), ""):
        for one in readable:
            rate_hz = one.get("rate_hz")
            is_named = one.get("readable") is True and str(one.get("name", "")).startswith(kind)
            if is_named and isinstance(rate_hz, int | float) and rate_hz > 0:
                return 1.0 / rate_hz
    return None
