"""Declare what differs between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.build import FactChange
from orchestrator.domain.run_difference import BytesChange, BytesKind, DeviceDifference, RunDifference
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import BOOLEAN, TEXT, TIME, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

FACT = View[FactChange](
    "fact-change",
    "A fact that differs. `unknown` stands for what a device did not say.",
    (
        Key("fact", TEXT, "The fact's name, as docs/worker-protocol.md has it.", lambda change: change.fact),
        Key("before", TEXT, "The value in the first run.", lambda change: change.before),
        Key("after", TEXT, "The value in the second run.", lambda change: change.after),
    ),
)
BYTES = View[BytesChange](
    "bytes-change",
    "Bytes that differ.",
    (
        Key("kind", OneOf(BytesKind), "Whose bytes.", lambda change: change.kind),
        Key("before", TEXT, "Their hash in the first run.", lambda change: change.before),
        Key("after", TEXT, "Their hash in the second run.", lambda change: change.after),
        Key("cells", ListOf(TEXT), "The cells with this change, in words.", lambda change: change.cells),
    ),
)
DEVICE = View[DeviceDifference](
    "device-difference",
    "What differs on a device that both runs used.",
    (
        Key("device", TEXT, "The device's name.", lambda one: one.device),
        Key("same", BOOLEAN, "Whether nothing that is on record differs.", lambda one: one.is_same),
        Key("hardware", ListOf(FACT), "Facts that other hardware changes.", lambda one: one.hardware),
        Key("environment", ListOf(FACT), "Facts that upgrades and settings change.", lambda one: one.environment),
        Key("bytes", ListOf(BYTES), "Artifacts, runtimes and workers.", lambda one: one.bytes),
        Key("only_before", ListOf(TEXT), "Cells of the first run alone, in words.", lambda one: one.only_before),
        Key("only_after", ListOf(TEXT), "Cells of the second run alone.", lambda one: one.only_after),
        Key("unknown", OrNull(TEXT), "Why the facts are not known; null if they are.", lambda one: one.unknown),
    ),
)
DIFFERENCE = View[RunDifference](
    "run-difference",
    "What differs between two runs.",
    (
        Key("before", TEXT, "The first run.", lambda one: one.before),
        Key("before_began_at", TIME, "When it began.", lambda one: one.before_began_at),
        Key("after", TEXT, "The second run.", lambda one: one.after),
        Key("after_began_at", TIME, "When it began.", lambda one: one.after_began_at),
        Key("terms", ListOf(FACT), "What the runs were asked to do: sweep, seed, controller.", lambda one: one.terms),
        Key("devices", ListOf(DEVICE), "The devices of both runs.", lambda one: one.devices),
        Key("only_before", ListOf(TEXT), "Devices of the first run alone.", lambda one: one.only_before),
        Key("only_after", ListOf(TEXT), "Devices of the second run alone.", lambda one: one.only_after),
    ),
)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one difference as a line: of both runs for an empty device. None stands for a side without it."""

    device: str
    kind: str
    what: str
    before: str | None
    after: str | None


def lines_of(difference: RunDifference) -> Iterator[Line]:
    """Yield every difference as a line."""
    yield from (Line("", "run", one.fact, one.before, one.after) for one in difference.terms)
    for device in difference.devices:
        yield from _of_device(device)
    yield from (Line(name, "device", name, "present", None) for name in difference.only_before)
    yield from (Line(name, "device", name, None, "present") for name in difference.only_after)


def _of_device(device: DeviceDifference) -> Iterator[Line]:
    for kind, facts in (("hardware", device.hardware), ("environment", device.environment)):
        yield from (Line(device.device, kind, one.fact, one.before, one.after) for one in facts)
    if device.unknown is not None:
        yield Line(device.device, "environment", device.unknown, None, None)
    for change in device.bytes:
        yield from (
            Line(device.device, change.kind.value, label, change.before, change.after) for label in change.cells
        )
    yield from (Line(device.device, "cell", label, "present", None) for label in device.only_before)
    yield from (Line(device.device, "cell", label, None, "present") for label in device.only_after)


_ROW = View[Line](
    "run-difference-line",
    "A difference between two runs.",
    (
        Key("device", TEXT, "The device; empty for what the runs were asked to do.", lambda line: line.device),
        Key(
            "kind",
            TEXT,
            "`run`, `hardware`, `environment`, `artifact`, `runtime`, `worker`, `cell` or `device`.",
            lambda line: line.kind,
        ),
        Key("what", TEXT, "The fact or the cell.", lambda line: line.what),
        Key("before", OrNull(TEXT), "In the first run; empty where it lacks.", lambda line: line.before),
        Key("after", OrNull(TEXT), "In the second run; empty where it lacks.", lambda line: line.after),
    ),
)
DIFFERENCES = Shape[RunDifference](DIFFERENCE, _ROW, lines_of)


def difference_report(difference: RunDifference) -> Report:
    """Return what differs between two runs as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.run_difference import difference_view

        return difference_view(difference)

    return Report(difference, DIFFERENCES, draw)
