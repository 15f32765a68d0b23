"""Declare the items removed from devices, and the items kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.cleaning import Cleaning, Item, ItemKind
from orchestrator.domain.errors import OrchestratorError
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.failure import ERROR
from orchestrator.reporting.shape import INTEGER, TEXT, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

ITEM = View[Item](
    "item",
    "Something that lies on a device.",
    (
        Key("kind", OneOf(ItemKind), "What it is.", lambda item: item.kind),
        Key("name", TEXT, "The name of the run, or the hash of the content.", lambda item: item.name),
        Key("size_bytes", INTEGER, "How much room it takes.", lambda item: item.size_bytes),
        Key("reason", OrNull(TEXT), "Why it stays; null where it went.", lambda item: item.reason),
    ),
)


@dataclass(frozen=True, slots=True)
class CleanedDevice:
    """Hold a device with the cleaning, or with the error."""

    name: str
    cleaning: Cleaning | None
    error: OrchestratorError | None


CLEANED = View[CleanedDevice](
    "cleaned-device",
    "What came of cleaning one device. With --dry-run nothing has gone yet.",
    (
        Key("name", TEXT, "The device's name.", lambda cleaned: cleaned.name),
        Key(
            "freed_bytes",
            OrNull(INTEGER),
            "How much room that makes; null where there is an error.",
            lambda cleaned: cleaned.cleaning.freed_bytes if cleaned.cleaning else None,
        ),
        Key(
            "removed",
            ListOf(ITEM),
            "What went.",
            lambda cleaned: cleaned.cleaning.removed if cleaned.cleaning else (),
        ),
        Key("kept", ListOf(ITEM), "What stays.", lambda cleaned: cleaned.cleaning.kept if cleaned.cleaning else ()),
        Key("error", OrNull(ERROR), "Why the device was not cleaned.", lambda cleaned: cleaned.error),
    ),
)


@dataclass(frozen=True, slots=True)
class _ItemLine:
    """Hold a device, and an item found there. `item` is None for an error or an empty device."""

    name: str
    what: str | None
    item: Item | None
    error: OrchestratorError | None


_ROW = View[_ItemLine](
    "cleaned-device-row",
    "One item on one device; a device without any has a row too.",
    (
        Key("name", TEXT, "The device's name.", lambda line: line.name),
        Key("what", OrNull(TEXT), "`removed` or `kept`.", lambda line: line.what),
        Key("kind", OrNull(TEXT), "What the item is.", lambda line: line.item and line.item.kind.value),
        Key("item", OrNull(TEXT), "The item's name.", lambda line: line.item and line.item.name),
        Key(
            "size_bytes",
            OrNull(INTEGER),
            "The item's size.",
            lambda line: line.item.size_bytes if line.item else None,
        ),
        Key("reason", OrNull(TEXT), "Why the item stays.", lambda line: line.item and line.item.reason),
        Key("error", OrNull(TEXT), "Why the device was not cleaned.", lambda line: line.error),
    ),
)


def _lines(devices: Sequence[CleanedDevice]) -> Iterator[_ItemLine]:
    for device in devices:
        cleaning = device.cleaning or Cleaning((), ())
        items = [("removed", item) for item in cleaning.removed] + [("kept", item) for item in cleaning.kept]
        for what, item in items:
            yield _ItemLine(device.name, what, item, None)
        if not items:  # an error, or an empty device: both must be seen in a table of devices
            yield _ItemLine(device.name, None, None, device.error)


CLEAN = Shape[Sequence[CleanedDevice]](ListOf(CLEANED), _ROW, _lines)


def cleaning_report(answers: Mapping[str, Cleaning | OrchestratorError], *, dry_run: bool) -> Report:
    """Return the cleaning of each device as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.cleaning import clean_report

        return clean_report(answers, dry_run=dry_run)

    devices = [
        CleanedDevice(name, None, answer)
        if isinstance(answer, OrchestratorError)
        else CleanedDevice(name, answer, None)
        for name, answer in answers.items()
    ]
    return Report(devices, CLEAN, draw)
