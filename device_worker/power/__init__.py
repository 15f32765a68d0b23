"""The power sources that this worker knows, each in a module of its own."""

from __future__ import annotations

from device_worker.power import hwmon, rapl
from device_worker.power.base import Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.power.base import PowerSource

SOURCES = (("rapl", rapl.open_source), ("hwmon", hwmon.open_source))
"""Name and opener, in order of preference: an opener returns None without its hardware, or raises Unreadable."""


def open_source() -> PowerSource | None:
    """Return the first source that can be read, if there is one."""
    for _name, opener in SOURCES:
        try:
            source = opener()
        except Unreadable:
            continue
        if source is not None:
            return source
    return None


def describe_sources() -> list[dict[str, Any]]:
    """Return every source that is there, and why one cannot be used."""
    described: list[dict[str, Any]] = []
    for name, opener in SOURCES:
        try:
            source = opener()
        except Unreadable as error:
            described.append({"name": name, "readable": False, "reason": str(error)})
            continue
        if source is not None:
            described.append({"name": source.name, "readable": True, "reason": None})
    return described
