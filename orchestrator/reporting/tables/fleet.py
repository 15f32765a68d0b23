"""Draw devices with facts and holders, and models with variants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.cluster import labels_text
from orchestrator.domain.device import Device
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import Concern
from orchestrator.domain.lease import Busy, Holding, Lease
from orchestrator.domain.metric import Unit
from orchestrator.domain.model import Model, Variant
from orchestrator.domain.recovery import Quarantine
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table
from orchestrator.reporting.tables.commands import HintLines
from orchestrator.reporting.text import ABSENT, clean

_DEVICE_COLUMNS = (
    Column("device"),
    Column("reached by", fold=True),
    Column("tags", fold=True),
    Column("machine", fold=True, spare=True),
    Column("probed", spare=True),
)
_HOLDER_COLUMN = Column("held by", prose=True)
_PROBE_COLUMNS = (
    Column("device"),
    Column("board", prose=True),
    Column("machine"),
    Column("CPUs", right=True, spare=True),
    Column("memory", right=True),
    Column("system", fold=True),
    Column("Python"),
    Column("temp", right=True),
    Column("free disk", right=True, spare=True),
)
_SURROUNDING_COLUMNS = (
    Column("device"),
    Column("kernel", fold=True),
    Column("governor", fold=True),
    Column("load", right=True),
    Column("throttled"),
    Column("power sensors", fold=True),
)
_MODEL_COLUMNS = (
    Column("model"),
    Column("variant"),
    Column("formats", fold=True),
    Column("precision"),
    Column("parent"),
    Column("accuracy", fold=True),
    Column("made", prose=True),
)


def device_table(
    devices: Sequence[Device],
    facts: Mapping[str, tuple[Facts, datetime]] | None = None,
    holdings: Mapping[str, Holding] | None = None,
    quarantines: Mapping[str, Quarantine] | None = None,
) -> PlainTable:
    """Return a row for each device of the inventory, with the facts on record.

    The column of holders is there if any device is held or in quarantine.
    """
    known, held, kept = facts or {}, holdings or {}, quarantines or {}
    rows = [_device_row(device, known.get(device.name)) for device in devices]
    if not held and not kept:
        return plain_table(_DEVICE_COLUMNS, rows)
    holders = (_held_by(device, held.get(device.name), kept.get(device.name)) for device in devices)
    columns = (*_DEVICE_COLUMNS[:2], _HOLDER_COLUMN, *_DEVICE_COLUMNS[2:])
    return plain_table(columns, ((*row[:2], holder, *row[2:]) for row, holder in zip(rows, holders, strict=True)))


def probe_report(
    results: Mapping[str, Facts | OrchestratorError], concerns: Mapping[str, Sequence[Concern]]
) -> RenderableType:
    """Return a row for each device with the answer or the error, and below the hints and concerns."""
    parts: list[RenderableType] = []
    if results:
        parts.append(plain_table(_PROBE_COLUMNS, (_probe_row(name, answer) for name, answer in results.items())))
        answered = [(name, answer) for name, answer in results.items() if isinstance(answer, Facts)]
        if answered:
            parts += [Text(), plain_table(_SURROUNDING_COLUMNS, (_surroundings(*one) for one in answered)), Text()]
            parts += [Text(clean(f"{name}: processors: {words}")) for name, words in _kinds(answered)]
    for name, answer in results.items():
        if isinstance(answer, OrchestratorError):
            if answer.hint:
                parts.append(HintLines(answer.hint, name))
        else:
            parts += [line for concern in concerns.get(name, ()) for line in _concern_lines(name, concern)]
    return Group(*parts)


def _kinds(answered: Sequence[tuple[str, Facts]]) -> Iterator[tuple[str, str]]:
    """Yield the devices whose processors are of several kinds, with the kinds in words."""
    for name, facts in answered:
        if words := facts.processors.kinds_words:
            yield name, words


def _concern_lines(name: str, concern: Concern) -> Iterator[RenderableType]:
    """Yield a concern and the hint. A refusal to measure on the device is marked."""
    label = ("would be refused: ", "bold red") if concern.is_refusal else ("warning: ", "bold yellow")
    yield Text.assemble(label, f"{clean(name)}: {clean(concern.message)}")
    if concern.hint:
        yield HintLines(concern.hint)


def error_lines(error: OrchestratorError, device: str | None = None) -> Iterator[RenderableType]:
    """Yield an error and the hint. `device` is named unless the error names the device."""
    message = clean(error)
    # The error of a device that never had a session does not name the device.
    where = f"{clean(device)}: " if device and not message.startswith(f"{clean(device)}: ") else ""
    yield Text.assemble(("error: ", "bold red"), where + message)
    if error.hint:
        yield HintLines(error.hint)


def reservation_line(lease: Lease) -> Text:
    """Return the line of a reservation: device, holder, end, and the id for other people."""
    return Text(clean(f"{lease.device}: {lease.sentence(lease.requested_at)}; reservation {lease.id}"))


def reach_lines(device: str, twins: Sequence[str], is_machine_known: bool) -> Iterator[str]:
    """Yield the lines about a reservation's reach: the other names of the machine, or a warning about unknown names."""
    if twins:
        yield clean(f"{device}: reserved as {', '.join(twins)} too, the same machine")
    if not is_machine_known:
        yield clean(f"warning: {device}: it has not been asked yet whether another name is the same machine")
        yield clean(f"hint: benchfleet devices probe {device}; until then other names of its machine stay free")


def release_line(lease: Lease) -> Text:
    """Return the line of an ended reservation."""
    return Text(clean(f"{lease.device}: released; reservation {lease.id} of {lease.holder} is over"))


def quarantine_line(quarantine: Quarantine) -> Text:
    """Return the line of a quarantine: device, date, author and reason."""
    since = f"in quarantine since {numbers.told(quarantine.since)}, by {quarantine.author}"
    return Text(clean(f"{quarantine.device}: {since}: {quarantine.reason}"))


def readmission_line(quarantine: Quarantine) -> Text:
    """Return the line of an ended quarantine."""
    since = f"was in quarantine since {numbers.told(quarantine.since)}: {quarantine.reason}"
    return Text(clean(f"{quarantine.device}: admitted again; it {since}"))


def queue_line(device: str, busy: Busy) -> str:
    """Return the line of a place in a queue, with the holder in the way."""
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
        probed = numbers.told(taken_at)
    return device.name, _address(device), tags or ABSENT, machine, probed


def _held_by(device: Device, holding: Holding | None, quarantine: Quarantine | None) -> str:
    kept = [f"quarantine since {numbers.told(quarantine.since)} ({quarantine.reason})"] if quarantine else []
    if holding is None:
        return "; ".join(kept) or ABSENT
    parts = kept + [_holder(lease) for lease in holding.held]
    parts += [f"as {lease.device}, the same machine: {_holder(lease)}" for lease in holding.in_the_way(device)]
    waiting = [f"{holding.queue} waiting"] if holding.queue else []
    return "; ".join([*parts, *waiting]) or ABSENT


def _holder(lease: Lease) -> str:
    until = f"until {numbers.told(lease.expires_at)}"
    if lease.left_at is not None:
        since = numbers.told(lease.left_at)
        return f"{lease.holder}: run {lease.run}, on its own since {since}, {until} at the latest"
    if lease.run is not None:
        return f"{lease.holder}: run {lease.run} since {numbers.told(lease.granted_at)}, {until} unless renewed"
    return f"{lease.holder} {until}, reservation {lease.id}" + (f" ({lease.reason})" if lease.reason else "")


def _address(device: Device) -> str:
    if device.node:
        return f"{device.transport.value} {labels_text(device.node)}"
    if not device.transport.is_remote:
        return device.transport.value
    user = f"{device.user}@" if device.user else ""
    port = f":{device.port}" if device.port else ""
    jump = f" by {device.jump}" if device.jump else ""
    return f"{device.transport.value} {user}{device.host or device.name}{port}{jump}"


def _probe_row(name: str, answer: Facts | OrchestratorError) -> tuple[Text | str | None, ...]:
    if isinstance(answer, OrchestratorError):
        # The row begins with the device already.
        reason = clean(answer).removeprefix(f"{clean(name)}: ")
        return name, Text(f"error: {reason}", style="red"), *[None] * (len(_PROBE_COLUMNS) - 2)
    # Any fact may be missing: an older worker, or a system without such a file, does not have it.
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


def _surroundings(name: str, facts: Facts) -> tuple[str | None, ...]:
    """Return what a figure depends on beside the board: kernel, governor, load, throttling, power sensors."""
    values = facts.values
    load, throttled = _number(values.get("load_1m")), values.get("throttled")
    return (
        name,
        _text(values.get("kernel")),
        _text(values.get("governor")),
        None if load is None else f"{load:.2f}",
        {True: "yes", False: "no"}.get(throttled) if isinstance(throttled, bool) else None,
        power_sensors(values.get("power_sources")),
    )


def _model_rows(model: Model) -> Iterator[tuple[str | None, ...]]:
    for position, variant in enumerate(model.variants.values()):
        yield (
            model.name if position == 0 else "",
            variant.name,
            ", ".join(variant.formats),
            variant.precision,
            variant.parent,
            _accuracy(variant),
            variant.made,
        )


def _accuracy(variant: Variant) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in variant.accuracy.items()) or ABSENT


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def power_sensors(said: object) -> str | None:
    """Return the power sensors of a device's facts, the preferred one first; None where the device has said nothing."""
    if not isinstance(said, list):
        return None
    known = [one for one in said if isinstance(one, Mapping)]
    return ", ".join(f"{one.get('name')}{_power_remark(one)}" for one in known) or "none"


def _power_remark(sensor: Mapping[str, object]) -> str:
    """Return the rate of a power sensor and whether it is an estimate, in brackets. Older workers tell neither."""
    if sensor.get("readable") is not True:
        return " (not readable)"
    rate_hz = _number(sensor.get("rate_hz"))
    words = [] if rate_hz is None else [f"{rate_hz:.3g} Hz"]
    if sensor.get("is_estimate") is True:
        words.append("estimate")
    return f" ({', '.join(words)})" if words else ""


def _number(value: object) -> float | None:
    """Return a device's fact as a number; None for anything else."""
    # A hostile device may send text, a list or `true` in the place of a number.
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
