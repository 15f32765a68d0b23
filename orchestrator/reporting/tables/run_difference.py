"""Draw what differs between two runs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.run_difference import BytesChange, DeviceDifference, RunDifference
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.text import clean

_HASH = 12
_COLUMNS = (Column(""), Column("what", fold=True), Column("before", prose=True), Column("after", prose=True))
_CELLS_SHOWN = 3


def difference_view(difference: RunDifference) -> RenderableType:
    """Return the differences of two runs: what was asked for, then device by device."""
    return Group(*_parts(difference))


def _parts(difference: RunDifference) -> Iterator[RenderableType]:
    yield Text(clean(f"{difference.before} -> {difference.after}"), style="bold cyan")
    yield Text(f"{numbers.told(difference.before_began_at)} -> {numbers.told(difference.after_began_at)}")
    if difference.terms:
        yield Text()
        yield plain_table(_COLUMNS, (("run", one.fact, one.before, one.after) for one in difference.terms))
    for device in difference.devices:
        yield Text()
        if device.is_same:
            yield Text(clean(f"{device.device}: nothing that is on record differs"))
        else:
            yield Text(clean(device.device), style="bold")
            yield plain_table(_COLUMNS, _rows(device))
    for names, words in ((difference.only_before, "first"), (difference.only_after, "second")):
        if names:
            yield Text()
            yield Text(clean(f"in the {words} run alone: {', '.join(names)}"))


def _rows(device: DeviceDifference) -> Iterator[tuple[str | None, ...]]:
    if device.unknown is not None:
        yield ("environment", device.unknown, None, None)
    for kind, facts in (("hardware", device.hardware), ("environment", device.environment)):
        yield from ((kind, one.fact, one.before, one.after) for one in facts)
    for change in device.bytes:
        yield (change.kind.value, _cells(change), change.before[:_HASH], change.after[:_HASH])
    yield from (("cell", label, "present", None) for label in device.only_before)
    yield from (("cell", label, None, "present") for label in device.only_after)


def _cells(change: BytesChange) -> str:
    more = len(change.cells) - _CELLS_SHOWN
    shown = "; ".join(change.cells[:_CELLS_SHOWN])
    return f"{shown}; {more} more" if more > 0 else shown
