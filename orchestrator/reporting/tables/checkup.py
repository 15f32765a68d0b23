"""Draw what is found of an installation."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from orchestrator.domain.checkup import Checkup, Finding, Health
from orchestrator.reporting.text import clean

_STYLES = {Health.FINE: "green", Health.ADVICE: "yellow", Health.WRONG: "bold red"}
_WIDTH = max(map(len, Health))


def checkup_lines(checkup: Checkup) -> Group:
    """Return a line for each finding, with the remedy below."""
    return Group(*(line for one in checkup.findings for line in _lines(one)))


def _lines(one: Finding) -> Iterator[Text]:
    yield Text.assemble(
        (f"{one.health.value:<{_WIDTH}}", _STYLES[one.health]), f"  {clean(f'{one.part}: {one.words}')}"
    )
    if one.remedy is not None:
        yield Text(f"{'':<{_WIDTH}}  → {clean(one.remedy)}")
