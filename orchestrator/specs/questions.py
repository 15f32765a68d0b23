"""Read the saved questions of a lab: `dashboards/questions/NUMBER-NAME.sql`.

The first comment line is the question, further comment lines are notes. The statement runs on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.resources import shipped


@dataclass(frozen=True, slots=True)
class Question:
    """Hold a question with notes and statement."""

    name: str
    title: str
    notes: str
    sql: str


def questions() -> list[Question]:
    """Return all questions, in order."""
    return [_read(file) for file in sorted(shipped("dashboards/questions").glob("*.sql"))]


def _read(file: Path) -> Question:
    lines = file.read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    statement = "\n".join(line for line in lines if not line.startswith("--")).strip().removesuffix(";")
    title, *notes = comments
    return Question(file.stem.partition("-")[2], title, " ".join(notes), statement)
