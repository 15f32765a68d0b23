"""Declare the list of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.run import RunState, RunSummary
from orchestrator.reporting.report import Report
from orchestrator.reporting.reports.run_words import RUN_WORDS, tag_text
from orchestrator.reporting.shape import INTEGER, TEXT, TIME, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

RUN_SUMMARY = View[RunSummary](
    "run-summary",
    "One run of the list. Preflights are not counted as trials.",
    (
        Key("run", TEXT, "The run's id.", lambda run: run.run),
        Key("sweep", TEXT, "The sweep's name.", lambda run: run.sweep),
        Key("model", TEXT, "The model's name; of several, all by commas.", lambda run: run.model_words),
        Key("models", ListOf(TEXT), "The names of the models.", lambda run: run.models),
        Key("state", OneOf(RunState), "Where the run stands.", lambda run: run.state),
        Key("devices", INTEGER, "How many devices the run has.", lambda run: run.devices),
        Key("devices_complete", INTEGER, "How many of them are complete.", lambda run: run.devices_complete),
        Key("trials", INTEGER, "How many trials are planned.", lambda run: run.counts.planned),
        Key("trials_measured", INTEGER, "How many trials are measured.", lambda run: run.counts.measured),
        Key("trials_failed", INTEGER, "How many trials failed, or were skipped.", lambda run: run.counts.failed),
        Key("trials_invalid", INTEGER, "How many trials broke a condition.", lambda run: run.counts.invalid),
        Key("trials_missing", INTEGER, "How many trials have not run.", lambda run: run.counts.missing),
        Key("started_at", TIME, "When the run began.", lambda run: run.started_at),
        Key("finished_at", OrNull(TIME), "When the run ended; null while it is active.", lambda run: run.finished_at),
        Key("device_names", ListOf(TEXT), "The names of the devices.", lambda run: run.device_names),
        Key("words", RUN_WORDS, "What people say about the run.", lambda run: run.words),
    ),
)
_ROW = View[RunSummary](
    "run-summary-row",
    RUN_SUMMARY.about,
    (
        *(key for key in RUN_SUMMARY.keys if key.name not in ("models", "device_names", "words")),
        Key("device_names", TEXT, "The names of the devices, by commas.", lambda run: ", ".join(run.device_names)),
        Key("started_by", OrNull(TEXT), "Who started the run: USER@HOST.", lambda run: run.words.started_by),
        Key("name", OrNull(TEXT), "The run's name.", lambda run: run.words.name),
        Key("note", OrNull(TEXT), "The note.", lambda run: run.words.note),
        Key("tags", TEXT, "The tags, as key=value.", lambda run: tag_text(run.words)),
        Key(
            "excluded",
            OrNull(TEXT),
            "Why the run does not count; null for a run that counts.",
            lambda run: run.words.exclusion and run.words.exclusion.reason,
        ),
    ),
)
RUN_LIST = Shape[Sequence[RunSummary]](ListOf(RUN_SUMMARY), _ROW, lambda runs: runs)


def run_list_report(runs: Sequence[RunSummary]) -> Report:
    """Return the runs as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.run_list import run_table

        return run_table(runs)

    return Report(runs, RUN_LIST, draw)
