"""Declare where a database's schema stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.demo import DemoFilled
from orchestrator.domain.pruning import Keeping, PrunedRun, Pruning
from orchestrator.domain.schema_status import CopiedTable, DatabaseCopy, SchemaStatus
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import BOOLEAN, INTEGER, TEXT, TIME, Key, ListOf, MapOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA_STATUS = View[SchemaStatus](
    "schema-status",
    "Where a database's schema stands.",
    (
        Key("database", TEXT, "The database's URL, without its password.", lambda status: status.database),
        Key(
            "revision", OrNull(TEXT), "The schema's revision; null where there is none.", lambda status: status.revision
        ),
        Key("wanted", TEXT, "The revision that this version wants.", lambda status: status.wanted),
    ),
)
DATABASE = Shape[SchemaStatus](SCHEMA_STATUS, SCHEMA_STATUS, lambda status: [status])


def schema_report(status: SchemaStatus) -> Report:
    """Return a schema's standing as a report."""
    sentence = f"{status.database}: revision {status.revision or 'none'}, wanted {status.wanted}"
    return Report(status, DATABASE, lambda: sentence)


DEMO_FILLED = View[DemoFilled](
    "demo",
    "What a made-up history has. Nothing of such a history was measured.",
    (
        Key("database", TEXT, "The database's URL, without its password.", lambda filled: filled.database),
        Key("devices", INTEGER, "Number of devices.", lambda filled: filled.request.devices),
        Key("series", INTEGER, "Number of cells of each device.", lambda filled: filled.request.series),
        Key("nights", INTEGER, "Number of nights.", lambda filled: filled.request.nights),
        Key("seed", INTEGER, "The seed: equal seeds give equal figures.", lambda filled: filled.request.seed),
        Key("runs", INTEGER, "Number of runs.", lambda filled: filled.runs),
        Key("attempts", INTEGER, "Number of finished attempts.", lambda filled: filled.attempts),
    ),
)
DEMO = Shape[DemoFilled](DEMO_FILLED, DEMO_FILLED, lambda filled: [filled])


def demo_report(filled: DemoFilled) -> Report:
    """Return a filled database as a report."""
    sentence = (
        f"{filled.database}: {filled.runs} made-up runs with {filled.attempts} attempts. Nothing of it was measured."
    )
    return Report(filled, DEMO, lambda: sentence)


COPIED_TABLE = View[CopiedTable](
    "copied-table",
    "A table of which all rows were copied.",
    (
        Key("table", TEXT, "The table.", lambda one: one.table),
        Key("rows", INTEGER, "Number of rows.", lambda one: one.rows),
    ),
)
DATABASE_COPY = View[DatabaseCopy](
    "database-copy",
    "All rows of a database in another one.",
    (
        Key("source", TEXT, "The URL of the database that was read, without its password.", lambda copy: copy.source),
        Key("target", TEXT, "The URL of the database that was filled, without its password.", lambda copy: copy.target),
        Key("tables", ListOf(COPIED_TABLE), "Each table with its rows.", lambda copy: copy.tables),
    ),
)
COPY = Shape[DatabaseCopy](DATABASE_COPY, COPIED_TABLE, lambda copy: copy.tables)


def copy_report(copy: DatabaseCopy) -> Report:
    """Return a copied database as a report."""
    filled = [one for one in copy.tables if one.rows]
    rows = sum(one.rows for one in filled)
    sentence = f"{copy.target}: {rows} rows of {len(filled)} tables, as they are in {copy.source}"
    return Report(copy, COPY, lambda: sentence)


PRUNED_RUN = View[PrunedRun](
    "pruned-run",
    "A run that lost its raw samples.",
    (
        Key("run", TEXT, "The run's id.", lambda one: one.run),
        Key("started_at", TIME, "When the run began.", lambda one: one.started_at),
        Key("blocks", INTEGER, "How many blocks of samples and power readings went.", lambda one: one.raw.blocks),
        Key("size_bytes", INTEGER, "Bytes of these blocks.", lambda one: one.raw.size_bytes),
    ),
)
PRUNING = View[Pruning](
    "pruning",
    "What a pruning of raw samples removed.",
    (
        Key("before", TIME, "Runs that began before were pruned.", lambda one: one.before),
        Key("dry_run", BOOLEAN, "Whether nothing was removed: so much would be.", lambda one: one.dry_run),
        Key("runs", ListOf(PRUNED_RUN), "The runs, the oldest first.", lambda one: one.runs),
        Key("kept", MapOf(OneOf(Keeping), "run"), "Why other old runs keep their samples.", lambda one: one.kept),
        Key("content_chunks", INTEGER, "Chunks of cut submissions that went.", lambda one: one.contents.blocks),
        Key("content_bytes", INTEGER, "Bytes of these chunks.", lambda one: one.contents.size_bytes),
        Key("advice", OrNull(TEXT), "How the disk gets the room back; null without any.", lambda one: one.advice),
    ),
)
PRUNE = Shape[Pruning](PRUNING, PRUNED_RUN, lambda one: one.runs)


def pruning_report(pruning: Pruning) -> Report:
    """Return a pruning as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.pruning import pruning_lines

        return pruning_lines(pruning)

    return Report(pruning, PRUNE, draw)
