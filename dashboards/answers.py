"""Answer questions by a made-up lab, in a form that is the same for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from dashboards.questions import Question
from orchestrator.bootstrap import Wiring
from orchestrator.domain.demo import DemoRequest
from orchestrator.services.demo.fill import fill
from orchestrator.settings import load_settings
from orchestrator.store.store import Store

LAB = DemoRequest(devices=4, series=12, nights=36, seed=3)
"""Small enough for a test, and long enough that something of everything happens."""

ROWS_SHOWN = 8
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold the columns of an answer, and the rows as text. None stands for NULL."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def fill_lab(url: str) -> None:
    """Fill an empty database with the made-up lab of the cookbook."""
    with Wiring(load_settings({"db": url}, config=None)) as wiring:
        fill(LAB, wiring)


def answer(store: Store, question: Question) -> Answer:
    """Return the answer of a database to a question."""
    with store.database.read() as connection:
        if not store.database.is_sqlite:
            connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        found = connection.exec_driver_sql(question.sql)
        return Answer(tuple(found.keys()), tuple(_shown(row) for row in found))


def _shown(row: Sequence[Any]) -> tuple[str | None, ...]:
    return tuple(None if value is None else _text(value) for value in row)


def _text(value: Any) -> str:
    if isinstance(value, float | Decimal):
        number = float(value)
        # Sums of a hundred addends differ in the last of sixteen digits from database to database.
        return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.{_DIGITS}g}"
    return str(value)
