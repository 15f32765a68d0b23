"""Declare the list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.run import RunState, RunSummary
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, TEXT, TIME, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

RUN_SUMMARY = View[RunSummary](
    "run-summary",
    "One run of the list. Preflights are not counted as trials.",
    (
        Key("run", TEXT, "The run's id.", lambda run: run.run),
        Key("sweep", TEXT, "The sweep's name.", lambda run: run.sweep),
        Key("model", TEXT, "The model's name.", lambda run: run.model),
        Key("state", OneOf(RunState), "Where the run stands.", lambda run: run.state),
        Key("devices", INTEGER, "How many devices the run has.", lambda run: run.devices),
        Key("devices_complete", INTEGER, "How many of them are complete.", lambda run: run.devices_complete),
        Key("trials", INTEGER, "How many trials are planned.", lambda run: run.trials),
        Key("trials_measured", INTEGER, "How many trials are measured.", lambda run: run.trials_measured),
        Key("started_at", TIME, "When the run began.", lambda run: run.started_at),
        Key("finished_at", OrNull(TIME), "When the run ended; null while it is active.", lambda run: run.finished_at),
    ),
)
RUN_LIST = Shape[Sequence[RunSummary]](ListOf(RUN_SUMMARY), RUN_SUMMARY, lambda runs: runs)


def run_list_report(runs: Sequence[RunSummary]) -> Report:
    """Return the runs as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.run_list import run_table

        return run_table(runs)

    return Report(runs, RUN_LIST, draw)
