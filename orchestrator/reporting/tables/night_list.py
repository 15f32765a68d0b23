"""Draw the list of nights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from orchestrator.domain.night import NightState, NightSummary
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table
from orchestrator.reporting.tables.run_list import took
from orchestrator.reporting.text import ABSENT

_STYLES: Mapping[NightState, str] = {
    NightState.UNDER_WAY: "cyan",
    NightState.COMPLETE: "green",
    NightState.INCOMPLETE: "yellow",
    NightState.CUT_OFF: "yellow",
}
_COLUMNS = (
    Column("night"),
    Column("state"),
    Column("exit", right=True),
    Column("failing", right=True),
    Column("cells", right=True),
    Column("devices", right=True),
    Column("runs", right=True, spare=True),
    Column("began"),
    Column("took", right=True, spare=True),
)


def night_list_table(nights: Sequence[NightSummary]) -> PlainTable:
    """Return a line for each night."""
    return plain_table(_COLUMNS, map(_row, nights))


def _row(night: NightSummary) -> tuple[Text | str | None, ...]:
    return (
        night.night,
        Text(night.state.value, style=_STYLES[night.state]),
        ABSENT if night.exit_code is None else str(night.exit_code),
        Text(str(night.failing), style="bold red" if night.failing else ""),
        str(night.cells),
        str(night.devices),
        str(night.runs),
        numbers.told(night.began_at),
        took(night.began_at, night.ended_at),
    )
