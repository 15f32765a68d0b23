"""Declare annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.domain.annotation import Annotation
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import INTEGER, TEXT, TIME, Key, ListOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

ANNOTATION = View[Annotation](
    "annotation",
    "What a person knows about a date, a device, a series or a run.",
    (
        Key("id", INTEGER, "The annotation's id.", lambda note: note.id),
        Key("first_day", TEXT, "The first day, in UTC.", lambda note: note.first_day.isoformat()),
        Key("last_day", TEXT, "The last day, in UTC.", lambda note: note.last_day.isoformat()),
        Key("device", OrNull(TEXT), "The device; null for all.", lambda note: note.device),
        Key("series", OrNull(INTEGER), "The series' id; null for all.", lambda note: note.series and note.series.id),
        Key("run", OrNull(TEXT), "The run; null for none in particular.", lambda note: note.run),
        Key("text", TEXT, "The text.", lambda note: note.text),
        Key("who", TEXT, "Who wrote it: USER@HOST.", lambda note: note.who),
        Key("at", TIME, "When it was written.", lambda note: note.at),
    ),
)
ANNOTATED = Shape[Sequence[Annotation]](ListOf(ANNOTATION), ANNOTATION, lambda notes: notes)


def annotations_report(annotations: Sequence[Annotation]) -> Report:
    """Return annotations as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.history import annotation_table

        return annotation_table(annotations)

    return Report(annotations, ANNOTATED, draw)
