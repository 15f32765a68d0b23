"""Declare the list of nights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.night import NightState, NightSummary
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, TEXT, TIME, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

NIGHT_SUMMARY = View[NightSummary](
    "night-summary",
    "One night of the list. Devices, cells and failing cells are 0 before the end.",
    (
        Key("night", TEXT, "The night's id.", lambda night: night.night),
        Key("nightly", TEXT, "The name in the nightly file.", lambda night: night.nightly),
        Key("state", OneOf(NightState), "Where the night stands.", lambda night: night.state),
        Key("began_at", TIME, "When the night began.", lambda night: night.began_at),
        Key("ended_at", OrNull(TIME), "When the night ended; null before.", lambda night: night.ended_at),
        Key("exit_code", OrNull(INTEGER), "The exit code; null before the end.", lambda night: night.exit_code),
        Key("devices", INTEGER, "How many devices the night had.", lambda night: night.devices),
        Key("cells", INTEGER, "How many cells and metrics the night has judged.", lambda night: night.cells),
        Key("failing", INTEGER, "How many of them fail the night.", lambda night: night.failing),
        Key("runs", INTEGER, "How many runs the night has begun.", lambda night: night.runs),
    ),
)
NIGHT_LIST = Shape[Sequence[NightSummary]](ListOf(NIGHT_SUMMARY), NIGHT_SUMMARY, lambda nights: nights)


def night_list_report(nights: Sequence[NightSummary]) -> Report:
    """Return the nights as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.night_list import night_list_table

        return night_list_table(nights)

    return Report(nights, NIGHT_LIST, draw)
