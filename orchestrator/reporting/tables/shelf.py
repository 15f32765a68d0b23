"""Draw the host keys of a shelf of devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.enrollment import Enrollment
from orchestrator.domain.errors import OrchestratorError
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.commands import HintLines
from orchestrator.reporting.text import clean

_COLUMNS = (Column("device"), Column("fingerprint"), Column("record", prose=True))


def shelf_table(found: Mapping[str, Enrollment | OrchestratorError]) -> RenderableType:
    """Return a row for each device, and the hints of errors below."""
    return Group(plain_table(_COLUMNS, (_row(name, one) for name, one in found.items())), *_hints(found))


def _row(name: str, one: Enrollment | OrchestratorError) -> tuple[Text | str | None, ...]:
    if isinstance(one, Enrollment):
        return name, one.fingerprint, one.place or Text("not recorded", style="yellow")
    return name, None, Text(f"error: {clean(one).removeprefix(f'{clean(name)}: ')}", style="red")


def _hints(found: Mapping[str, Enrollment | OrchestratorError]) -> Iterator[RenderableType]:
    told: set[str] = set()
    for name, one in found.items():
        if isinstance(one, OrchestratorError) and one.hint and one.hint not in told:
            told.add(one.hint)
            yield HintLines(one.hint, name)
