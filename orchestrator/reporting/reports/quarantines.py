"""Declare a quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.recovery import Quarantine
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import TEXT, TIME, Key, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

QUARANTINE = View[Quarantine](
    "quarantine",
    "Why no run may use a device.",
    (
        Key("device", TEXT, "The device's name.", lambda quarantine: quarantine.device),
        Key("reason", TEXT, "What is wrong with the device.", lambda quarantine: quarantine.reason),
        Key("holder", TEXT, "Who said so: USER@HOST.", lambda quarantine: quarantine.holder),
        Key(
            "run", OrNull(TEXT), "The run whose recovery failed; null for a person.", lambda quarantine: quarantine.run
        ),
        Key("since", TIME, "Since when.", lambda quarantine: quarantine.since),
    ),
)
QUARANTINED = Shape[Quarantine](QUARANTINE, QUARANTINE, lambda quarantine: [quarantine])


def quarantine_report(made: Quarantine) -> Report:
    """Return a present quarantine as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import quarantine_line

        return quarantine_line(made)

    return Report(made, QUARANTINED, draw)


def readmission_report(ended: Quarantine) -> Report:
    """Return an ended quarantine as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.fleet import readmission_line

        return readmission_line(ended)

    return Report(ended, QUARANTINED, draw)
