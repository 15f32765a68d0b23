"""Draw the list of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.text import Text

from orchestrator.domain.run import RunState, RunSummary
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, PlainTable, plain_table
from orchestrator.reporting.text import ABSENT

RUN_STYLES: Mapping[RunState, str] = {
    RunState.ACTIVE: "cyan",
    RunState.COMPLETE: "green",
    RunState.INCOMPLETE: "yellow",
    RunState.CANCELLED: "yellow",
}
_NAMES_WIDTH = 24
"""So many characters of devices' names are shown; a count stands for the rest."""
_BASIC = (
    Column("run"),
    Column("name"),
    Column("sweep", fold=True),
    Column("model", fold=True, spare=1),
    Column("state"),
    Column("by", spare=2),
    Column("devices"),
    Column("trials", right=True),
    Column("lacking", spare=4),
    Column("tags", fold=True, spare=2),
    Column("began", spare=3),  # most runs are named after the time
    Column("took", right=True, spare=1),
)
_OPTIONAL = ("name", "by", "lacking", "tags")


def run_table(runs: Sequence[RunSummary]) -> PlainTable:
    """Return a line for each run. Columns without any value are left out."""
    # Of one person nobody asks whose the runs are.
    are_several = len({run.words.started_by for run in runs} - {None}) > 1
    rows = [_row(run, run.words.started_by if are_several else None) for run in runs]
    kept = [
        index
        for index, column in enumerate(_BASIC)
        if column.heading not in _OPTIONAL or any(row[index] for row in rows)
    ]
    return plain_table([_BASIC[index] for index in kept], ([row[index] for index in kept] for row in rows))


def took(began: datetime, ended: datetime | None) -> str:
    """Return the duration of a run. Without an end the duration is unknown."""
    return ABSENT if ended is None else numbers.duration((ended - began).total_seconds())


def device_words(names: Sequence[str], width: int = _NAMES_WIDTH) -> str:
    """Return as many names as the width has room for, at least one, and the number of the others."""
    shown = list(names)
    while len(shown) > 1 and len(_with_rest(shown, len(names))) > width:
        shown.pop()
    return _with_rest(shown, len(names))


def _with_rest(shown: Sequence[str], count: int) -> str:
    rest = count - len(shown)
    return ", ".join(shown) + (f" +{rest}" if rest else "")


def _row(run: RunSummary, started_by: str | None) -> tuple[Text | str | None, ...]:
    excluded = run.words.exclusion is not None
    return (
        run.run,
        run.words.name,
        run.sweep,
        run.model_words,
        Text("excluded", style="dim") if excluded else Text(run.state.value, style=RUN_STYLES[run.state]),
        started_by,
        device_words(run.device_names),
        f"{run.counts.measured}/{run.counts.planned}",
        run.counts.shortfall,
        ", ".join(f"{key}={value}" for key, value in run.words.tags.items()),
        numbers.told(run.started_at),
        took(run.started_at, run.finished_at),
    )
