"""Find the device's power source. Each kind of source has a module of its own."""

from __future__ import annotations

from device_worker.protocol.vocabulary import SourceKind
from device_worker.sensing.power import battery, hwmon, l4t, nvml, pmic, rapl
from device_worker.sensing.power.base import Unreadable
from device_worker.system.patient_reader import PatientReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Sequence

    from device_worker.sensing.power.base import PowerSource

SOURCES = (
    ("rapl", rapl.open_source),
    ("hwmon", hwmon.open_source),
    ("ina3221x", l4t.open_source),
    ("pmic", pmic.open_source),
    ("nvml", nvml.open_source),
    ("battery", battery.open_source),
)
"""Name and opener of each source, in order of preference.

An opener returns None without the hardware, and raises Unreadable if the hardware cannot be used.
"""

_UNITS = {SourceKind.ENERGY_COUNTER: "uJ", SourceKind.POWER_GAUGE: "uW"}


def open_source() -> PowerSource | None:
    """Return the first readable source, or None."""
    return find_source(PatientReader())[0]


def find_source(reader: PatientReader, wanted: Sequence[str] | None = None) -> tuple[PowerSource | None, str | None]:
    """Return the first readable source and None, or None and the reason for the absence.

    `wanted` names the sources to choose from, in order of preference; None stands for all, in the usual order.
    """
    openers = dict(SOURCES)
    reasons = []
    for name in openers if wanted is None else wanted:
        if name not in openers:
            reasons.append(f"this worker knows no power source {name}")
            continue
        source, reason = _open(name, openers[name], reader)
        if source is not None:
            return source, None
        if reason is not None or wanted is not None:
            reasons.append(f"{name}: {reason or 'the device has none'}")
    return None, "; ".join(reasons) or "the device has no power source"


def describe_sources(reader: PatientReader) -> list[dict[str, Any]]:
    """Return every present source as a JSON object. See `power_sources` in docs/worker-protocol.md."""
    described: list[dict[str, Any]] = []
    for name, opener in SOURCES:
        source, reason = _open(name, opener, reader)
        if source is not None:
            described.append(
                {
                    "name": source.name,
                    "readable": True,
                    "reason": None,
                    "rate_hz": 1.0 / source.period_s,
                    "unit": _UNITS[source.kind],
                    "is_estimate": source.is_estimate,
                    "accuracy_ratio": source.accuracy_ratio,
                }
            )
        elif reason is not None:
            described.append({"name": name, "readable": False, "reason": reason})
    return described


def _open(
    name: str, opener: Callable[[], PowerSource | None], reader: PatientReader
) -> tuple[PowerSource | None, str | None]:
    """Return an opened source, or None and the reason if the source is present and cannot be read."""
    try:
        values, reasons = reader.read({name: opener})
    except Unreadable as error:
        return None, str(error)
    return values[name], reasons.get(name)
