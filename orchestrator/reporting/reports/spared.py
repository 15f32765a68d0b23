"""Declare the cells that a sweep's stop rule has ended early."""

from __future__ import annotations

from orchestrator.domain.run import SparedCell
from orchestrator.reporting.shape import INTEGER, NUMBER, TEXT, Key, OrNull, View

SPARED_CELL = View[SparedCell](
    "spared-cell",
    "A cell whose stop rule had enough.",
    (
        Key("device", TEXT, "The device's name.", lambda cell: cell.device),
        Key("label", TEXT, "The cell, for people.", lambda cell: cell.label),
        Key("measured", INTEGER, "Trials that count.", lambda cell: cell.measured),
        Key("spared", INTEGER, "Trials that were not run.", lambda cell: cell.spared),
        Key(
            "saved_s",
            OrNull(NUMBER),
            "What those would have taken on the device, by the mean of the trials that count.",
            lambda cell: cell.saved_s,
        ),
        Key("reason", TEXT, "What the rule found.", lambda cell: cell.reason),
    ),
)
