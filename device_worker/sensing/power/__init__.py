"""Find the device's power source. Each kind of source has a module of its own."""

from __future__ import annotations

from device_worker.sensing.power import hwmon, l4t, rapl
from device_worker.sensing.power.base import Unreadable
from device_worker.system.patient_reader import PatientReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.sensing.power.base import PowerSource

SOURCES = (("rapl", rapl.open_source), ("hwmon", hwmon.open_source), ("ina3221x", l4t.open_source))
"""Name and opener of each source, in order of preference.

An opener returns None without the hardware, and raises Unreadable if the hardware cannot be used.
"""


def open_source() -> PowerSource | None:
    """Return the first readable source, or None."""
    return find_source(PatientReader())[0]


def find_source(reader: PatientReader) -> tuple[PowerSource | None, str | None]:
    """Return the first readable source and None, or None and the reason for the absence."""
    reasons = []
    for name, opener in SOURCES:
        source, reason = _open(name, opener, reader)
        if source is not None:
            return source, None
        if reason is not None:
            reasons.append(f"{name}: {reason}")
    return None, "; ".join(reasons) or "the device has no power source"


def describe_sources(reader: PatientReader) -> list[dict[str, Any]]:
    """Return every present source as a JSON object with `name`, `readable`, and `reason` if not readable."""
    described: list[dict[str, Any]] = []
    for name, opener in SOURCES:
        source, reason = _open(name, opener, reader)
        if source is not None:
            described.append({"name": source.name, "readable": True, "reason": None})
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
