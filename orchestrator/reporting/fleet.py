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
from orchestrator.domain.metric import Unit
from orchestrator.domain.model import Model, Variant
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


def device_table(devices: Sequence[Device], facts: Mapping[str, tuple[Facts, datetime]] | None = None) -> PlainTable:
    """Return the inventory's devices, with what is on record of each."""
    known = facts or {}
    return plain_table(_DEVICE_COLUMNS, (_device_row(device, known.get(device.name)) for device in devices))


def device_rows(
    devices: Sequence[Device], facts: Mapping[str, tuple[Facts, datetime]]
) -> Sequence[Mapping[str, object]]:
    """Return what `device_table` shows as data: a device's fields, when it was probed, and its facts."""
    rows = []
    for device in devices:
        known, taken_at = facts.get(device.name, (None, None))
        fields = {field.name: getattr(device, field.name) for field in dataclasses.fields(device)}
        rows.append(fields | {"probed_at": taken_at, "facts": known and known.values})
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
    """Return what each device answered and what is wrong with it.

    Those that did not answer follow, each with its error and what to do.
    """
    answered = [(name, facts) for name, facts in results.items() if isinstance(facts, Facts)]
    parts: list[RenderableType] = []
    if answered:
        parts.append(plain_table(_PROBE_COLUMNS, (_probe_row(name, facts.values) for name, facts in answered)))
    for name, answer in results.items():
        if isinstance(answer, OrchestratorError):
            parts += error_lines(answer, device=name)
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


def _address(device: Device) -> str:
    if device.transport is TransportKind.LOCAL:
        return "local"
    user = f"{device.user}@" if device.user else ""
    port = f":{device.port}" if device.port else ""
    jump = f" by {device.jump}" if device.jump else ""
    return f"{device.transport.value} {user}{device.host or device.name}{port}{jump}"


def _probe_row(name: str, values: Mapping[str, object]) -> tuple[str | None, ...]:
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
