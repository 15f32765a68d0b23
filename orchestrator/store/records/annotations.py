"""Read and write the notes of people about dates, devices, series and runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, true

from orchestrator.domain.annotation import Annotation, Note
from orchestrator.domain.errors import ConfigError
from orchestrator.store.records.levels import REASON_MAX
from orchestrator.store.records.named_series import NAMED_SERIES, series_in
from orchestrator.store.schema import tables as t
from orchestrator.store.sql.database_clock import database_time
from orchestrator.store.sql.engine import Database
from orchestrator.store.values.hygiene import clean_text


class AnnotationTable:
    """Play the role `Annotations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def annotate(self, note: Note) -> Annotation:
        """Record a note. Raise ConfigError for a device or a series unknown to the database."""
        with self._database.write() as connection:
            device = _device(connection, note.device)
            _check_series(connection, note.series)
            row = {
                "first_day": note.first_day,
                "last_day": note.last_day,
                "device_id": device,
                "series_id": note.series,
                "run_id": note.run,
                "text": clean_text(note.text, REASON_MAX),
                "who": note.who,
                "at": database_time(connection),
            }
            key = connection.execute(insert(t.annotation).returning(t.annotation.c.id), row).scalar_one()
            return _read(connection, t.annotation.c.id == key)[0]

    def annotations(self, first_day: date | None = None, last_day: date | None = None) -> Sequence[Annotation]:
        """Return the annotations on any day of a range, the earliest day first. None leaves an end open."""
        within = and_(
            true() if first_day is None else t.annotation.c.last_day >= first_day,
            true() if last_day is None else t.annotation.c.first_day <= last_day,
        )
        with self._database.read() as connection:
            return _read(connection, within)


def _device(connection: Connection, name: str | None) -> int | None:
    if name is None:
        return None
    found: int | None = connection.execute(select(t.device.c.id).where(t.device.c.name == name)).scalar()
    if found is None:
        raise ConfigError(f"{name}: this database has never seen a device of that name", "benchfleet devices list")
    return found


def _check_series(connection: Connection, series: int | None) -> None:
    if series is not None and connection.execute(select(t.series.c.id).where(t.series.c.id == series)).first() is None:
        raise ConfigError(f"there is no series {series}", "benchfleet sql 'SELECT * FROM series' shows what there is")


def _read(connection: Connection, condition: ColumnElement[bool]) -> list[Annotation]:
    own, of_series = t.device.alias("own"), t.device
    statement = (
        # A note about a series is about the series' device too.
        select(t.annotation, *NAMED_SERIES, func.coalesce(own.c.name, of_series.c.name).label("about_device"))
        .outerjoin(own, own.c.id == t.annotation.c.device_id)
        .outerjoin(t.series, t.series.c.id == t.annotation.c.series_id)
        .outerjoin(of_series, of_series.c.id == t.series.c.device_id)
        .outerjoin(t.model, t.model.c.id == t.series.c.model_id)
        .where(condition)
        .order_by(t.annotation.c.first_day, t.annotation.c.id)
    )
    return [_annotation(row) for row in connection.execute(statement)]


def _annotation(row: Any) -> Annotation:
    return Annotation(
        id=row.id,
        first_day=row.first_day,
        last_day=row.last_day,
        text=row.text,
        who=row.who,
        at=row.at,
        device=row.about_device,
        series=series_in(row),
        run=row.run_id,
    )
