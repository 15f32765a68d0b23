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
_COLUMNS = (
    Column("run"),
    Column("sweep", fold=True),
    Column("model", fold=True, spare=True),
    Column("state"),
    Column("devices", right=True),
    Column("trials", right=True),
    Column("began", spare=2),  # most runs are named after the time
    Column("took", right=True, spare=True),
)


def run_table(runs: Sequence[RunSummary]) -> PlainTable:
    """Return a line for each run."""
    return plain_table(_COLUMNS, map(_row, runs))


def took(began: datetime, ended: datetime | None) -> str:
    """Return the duration of a run. Without an end the duration is unknown."""
    return ABSENT if ended is None else numbers.duration((ended - began).total_seconds())


def _row(run: RunSummary) -> tuple[Text | str | None, ...]:
    return (
        run.run,
        run.sweep,
        run.model,
        Text(run.state.value, style=RUN_STYLES[run.state]),
        f"{run.devices_complete}/{run.devices}",
        f"{run.trials_measured}/{run.trials}",
        numbers.utc(run.started_at),
        took(run.started_at, run.finished_at),
    )
