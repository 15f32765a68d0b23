"""Turn the `power` of an inventory into sources on the device, or a meter that the controller reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.domain.meter import Meter, MeterKind
from orchestrator.inventory.schema import PowerEntry
from orchestrator.specs.schema import Complaint

_RESOLUTION_W = {MeterKind.SHELLY: 0.1, MeterKind.TASMOTA: 1.0, MeterKind.SNMP: 1.0}
_FINE_W = 0.001
_ACCURACY_RATIO = {MeterKind.SHELLY: 0.01, MeterKind.TASMOTA: 0.02}
_PERIOD_S = 1.0


def power_complaints(place: tuple[str | int, ...], entries: Sequence[PowerEntry] | None) -> Iterator[Complaint]:
    """Complain of entries that contradict each other."""
    meters = 0
    for index, entry in enumerate(entries or ()):
        kinds = _kinds(entry)
        meters += bool(kinds)
        at = (*place, "power", index)
        if len(kinds) + (entry.source is not None) != 1:
            yield Complaint(at, "an entry of `power` names one source or one meter", "- shelly: http://plug-3.lab")
        if (entry.oid is None) == (MeterKind.SNMP in kinds):
            yield Complaint(at, "`snmp` and `oid` belong together", "{snmp: pdu-1.lab, oid: 1.3.6.1.4.1…}")
    if entries is not None and (meters > 1 or (meters and meters != len(entries))):
        words = "a device has one meter, and then no source of its own: two would each give a figure"
        yield Complaint((*place, "power"), words)


def sources_of(entries: Sequence[PowerEntry] | None) -> tuple[str, ...] | None:
    """Return the sources on the device in order of preference, or None where the inventory names none."""
    named = tuple(entry.source for entry in entries or () if entry.source is not None)
    return named or None


def meter_of(entries: Sequence[PowerEntry] | None) -> Meter | None:
    """Return the meter that the inventory names, or None."""
    return next((_meter(kind, entry) for entry in entries or () for kind in _kinds(entry)), None)


def _kinds(entry: PowerEntry) -> list[MeterKind]:
    return [kind for kind in MeterKind if getattr(entry, kind.value)]


def _meter(kind: MeterKind, entry: PowerEntry) -> Meter:
    period_s = entry.period_s or _PERIOD_S
    command = tuple(entry.command or ())
    place = str(getattr(entry, kind.value))
    if kind is MeterKind.COMMAND:  # the arguments may hold secrets
        place = command[0].rpartition("/")[2]
    elif kind is MeterKind.CSV:
        place = "recording"
    percent = entry.accuracy_percent
    return Meter(
        kind=kind,
        place=place,
        channel=entry.channel,
        command=command,
        oid=(entry.oid or "").lstrip("."),
        watts_per_unit=entry.watts_per_unit,
        community_variable=entry.community_variable,
        period_s=period_s,
        update_s=period_s if entry.update_s is None else entry.update_s,
        resolution_w=entry.resolution_w or _RESOLUTION_W.get(kind, _FINE_W),
        accuracy_ratio=_ACCURACY_RATIO.get(kind) if percent is None else percent / 100,
    )
