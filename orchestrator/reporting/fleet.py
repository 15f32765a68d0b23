"""Devices and what they say of themselves; models and their variants."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.device import Device, Limits, TransportKind
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import Concern, judge_health
from orchestrator.domain.lease import Busy, Holding, Lease
from orchestrator.domain.metric import Unit
from orchestrator.domain.model import Model, Variant
from orchestrator.domain.recovery import Quarantine
from orchestrator.reporting import numbers
from orchestrator.reporting.columns import Column, PlainTable, plain_table
from orchestrator.reporting.text import ABSENT, clean

_DEVICE_COLUMNS = (
    Column("device"),
    Column("reached by", fold=True),
    Column("tags", fold=True),
    Column("machine", fold=True, spare=True),
    Column("probed", spare=True),
)
_HOLDER_COLUMN = Column("held by", fold=True)
_PROBE_COLUMNS = (
    Column("device"),
    Column("board", fold=True),
    Column("machine"),
    Column("CPUs", right=True, spare=True),
    Column("memory", right=True),
    Column("system", fold=True),
    Column("Python"),
    Column("temp", right=True),
    Column("free disk", right=True, spare=True),
)
_MODEL_COLUMNS = (
    Column("model"),
    Column("variant"),
    Column("precision"),
    Column("parent"),
    Column("accuracy", fold=True),
    Column("made", fold=True),
)


def device_table(
    devices: Sequence[Device],
    facts: Mapping[str, tuple[Facts, datetime]] | None = None,
    holdings: Mapping[str, Holding] | None = None,
    quarantines: Mapping[str, Quarantine] | None = None,
) -> PlainTable:
    """Return the inventory's devices, with what is on record of each; who has them, where anybody has one."""
    known, held, kept = facts or {}, holdings or {}, quarantines or {}
    rows = [_device_row(device, known.get(device.name)) for device in devices]
    if not held and not kept:
        return plain_table(_DEVICE_COLUMNS, rows)
    holders = (_held_by(held.get(device.name), kept.get(device.name)) for device in devices)
    columns = (*_DEVICE_COLUMNS[:2], _HOLDER_COLUMN, *_DEVICE_COLUMNS[2:])
    return plain_table(columns, ((*row[:2], holder, *row[2:]) for row, holder in zip(rows, holders, strict=True)))


def device_rows(
    devices: Sequence[Device],
    facts: Mapping[str, tuple[Facts, datetime]],
    holdings: Mapping[str, Holding] | None = None,
    quarantines: Mapping[str, Quarantine] | None = None,
) -> Sequence[Mapping[str, object]]:
    """Return what `device_table` shows as data: a device's fields, when it was probed, its facts, and who has it.

    `held` are the leases: at most a reservation and a run within it. `queue` is how many wait. `quarantine` is None
    for a device that runs may use.
    """
    rows = []
    for device in devices:
        known, taken_at = facts.get(device.name, (None, None))
        fields = {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}
        holding = (holdings or {}).get(device.name)
        held = [
            {
                "id": lease.id,
                "holder": lease.holder,
                "run": lease.run,
                "reason": lease.reason,
                "since": lease.granted_at,
                "until": lease.expires_at,
            }
            for lease in (holding.held if holding else ())
        ]
        leases = {"held": held, "queue": holding.queue if holding else 0}
        leases["quarantine"] = (quarantines or {}).get(device.name)
        rows.append(fields | {"probed_at": taken_at, "facts": known and known.values} | leases)
    return rows


def probe_rows(
    results: Mapping[str, Facts | OrchestratorError], limits: Mapping[str, Limits]
) -> Sequence[Mapping[str, object]]:
    """Return what `probe_report` shows as data: of each device its facts or its error, the other is None."""
    return [
        {"name": name, "facts": answer.values, "concerns": judge_health(answer, limits[name]), "error": None}
        if isinstance(answer, Facts)
        else {"name": name, "facts": None, "concerns": [], "error": answer}
        for name, answer in results.items()
    ]


def probe_report(results: Mapping[str, Facts | OrchestratorError], limits: Mapping[str, Limits]) -> RenderableType:
    """Return a row for each device, with what it answered or why it did not; what to do about it follows."""
    parts: list[RenderableType] = []
    if results:
        parts.append(plain_table(_PROBE_COLUMNS, (_probe_row(name, answer) for name, answer in results.items())))
    for name, answer in results.items():
        if isinstance(answer, OrchestratorError):
            if answer.hint:
                parts.append(Text.assemble(("hint: ", "bold"), f"{clean(name)}: {clean(answer.hint)}"))
        else:
            parts += [line for concern in judge_health(answer, limits[name]) for line in _concern_lines(name, concern)]
    return Group(*parts)


def _concern_lines(name: str, concern: Concern) -> Iterator[Text]:
    """Say what is worth a word about a device; what would keep it from measuring is marked so."""
    label = ("would be refused: ", "bold red") if concern.is_refusal else ("warning: ", "bold yellow")
    yield Text.assemble(label, f"{clean(name)}: {clean(concern.message)}")
    if concern.hint:
        yield Text.assemble(("hint: ", "bold"), clean(concern.hint))


def error_lines(error: OrchestratorError, device: str | None = None) -> Iterator[Text]:
    """Say what failed and what to do about it."""
    message = clean(error)
    # a device's error names it already, unless it never got that far
    where = f"{clean(device)}: " if device and not message.startswith(f"{clean(device)}: ") else ""
    yield Text.assemble(("error: ", "bold red"), where + message)
    if error.hint:
        yield Text.assemble(("hint: ", "bold"), clean(error.hint))


def reservation_line(lease: Lease) -> Text:
    """Say what has been reserved, until when, and under which id others may use it."""
    return Text(clean(f"{lease.device}: {lease.sentence(lease.requested_at)}; reservation {lease.id}"))


def release_line(lease: Lease) -> Text:
    """Say what has been given back."""
    return Text(clean(f"{lease.device}: released; reservation {lease.id} of {lease.holder} is over"))


def quarantine_line(quarantine: Quarantine) -> Text:
    """Say which device is in quarantine, since when, and why."""
    since = f"in quarantine since {numbers.utc(quarantine.since)}, by {quarantine.author}"
    return Text(clean(f"{quarantine.device}: {since}: {quarantine.reason}"))


def readmission_line(quarantine: Quarantine) -> Text:
    """Say which device runs may use again."""
    since = f"was in quarantine since {numbers.utc(quarantine.since)}: {quarantine.reason}"
    return Text(clean(f"{quarantine.device}: admitted again; it {since}"))


def queue_line(device: str, busy: Busy) -> str:
    """Say where in the queue somebody is, and who is in the way."""
    return clean(f"{device}: place {busy.ahead + 1} in the queue: {busy.sentence}")


def model_table(models: Sequence[Model]) -> PlainTable:
    """Return every variant of every model."""
    return plain_table(_MODEL_COLUMNS, (row for model in models for row in _model_rows(model)))


def _device_row(device: Device, record: tuple[Facts, datetime] | None) -> tuple[str, ...]:
    tags = ", ".join(f"{name}={value}" for name, value in sorted(device.tags.items()))
    machine, probed = ABSENT, "never"
    if record is not None:
        facts, taken_at = record
        machine = str(facts.values.get("board_model") or facts.platform)
        probed = numbers.utc(taken_at)
    return device.name, _address(device), tags or ABSENT, machine, probed


def _held_by(holding: Holding | None, quarantine: Quarantine | None) -> str:
    kept = [f"quarantine since {numbers.utc(quarantine.since)} ({quarantine.reason})"] if quarantine else []
    if holding is None:
        return "; ".join(kept) or ABSENT
    parts = kept + [
        f"{lease.holder}: run {lease.run} since {numbers.utc(lease.granted_at)},"
        f" until {numbers.utc(lease.expires_at)} unless renewed"
        if lease.run is not None
        else f"{lease.holder} until {numbers.utc(lease.expires_at)}, reservation {lease.id}"
        + (f" ({lease.reason})" if lease.reason else "")
        for lease in holding.held
    ]
    waiting = [f"{holding.queue} waiting"] if holding.queue else []
    return "; ".join([*parts, *waiting]) or ABSENT


def _address(device: Device) -> str:
    if device.transport is TransportKind.LOCAL:
        return "local"
    user = f"{device.user}@" if device.user else ""
    port = f":{device.port}" if device.port else ""
    jump = f" by {device.jump}" if device.jump else ""
    return f"{device.transport.value} {user}{device.host or device.name}{port}{jump}"


def _probe_row(name: str, answer: Facts | OrchestratorError) -> tuple[Text | str | None, ...]:
    if isinstance(answer, OrchestratorError):
        # the row begins with the device already
        reason = clean(answer).removeprefix(f"{clean(name)}: ")
        return name, Text(f"error: {reason}", style="red"), *[None] * (len(_PROBE_COLUMNS) - 2)
    values = answer.values
    system = " ".join(str(values[key]) for key in ("os_id", "os_version") if values.get(key))
    return (
        name,
        _text(values.get("board_model") or values.get("cpu_model")),
        _text(values.get("machine")),
        _text(values.get("cpu_count")),
        numbers.size(_number(values.get("memory_bytes"))),
        system or None,
        _text(values.get("python")),
        numbers.quantity(_number(values.get("temperature_c")), Unit.CELSIUS),
        numbers.size(_number(values.get("disk_free_bytes"))),
    )


def _model_rows(model: Model) -> Iterator[tuple[str | None, ...]]:
    for position, variant in enumerate(model.variants.values()):
        yield (
            model.name if position == 0 else "",
            variant.name,
            variant.precision,
            variant.parent,
            _accuracy(variant),
            variant.made,
        )


def _accuracy(variant: Variant) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in variant.accuracy.items()) or ABSENT


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> float | None:
    """Return a number that a device named, if it is one: what devices say is not to be trusted."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
