"""Declare what people say about a run, and what a deletion removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.run import RunRecord
from orchestrator.domain.run_words import Commit, Deletion, Exclusion, RunWords
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import BOOLEAN, INTEGER, TEXT, TIME, Key, MapOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

COMMIT = View[Commit](
    "git-commit",
    "The git commit of the folder of a sweep.",
    (
        Key("sha", TEXT, "The hash of the commit.", lambda commit: commit.sha),
        Key("dirty", BOOLEAN, "Whether tracked files differed from the commit.", lambda commit: commit.dirty),
    ),
)
EXCLUSION = View[Exclusion](
    "run-exclusion",
    "Why a run does not count.",
    (
        Key("reason", TEXT, "The reason.", lambda exclusion: exclusion.reason),
        Key("who", TEXT, "Who excluded the run: USER@HOST.", lambda exclusion: exclusion.who),
        Key("at", TIME, "When.", lambda exclusion: exclusion.at),
    ),
)
RUN_WORDS = View[RunWords](
    "run-words",
    "What people say about a run.",
    (
        Key("started_by", OrNull(TEXT), "Who started or submitted the run: USER@HOST.", lambda words: words.started_by),
        Key("name", OrNull(TEXT), "The run's name; null without one.", lambda words: words.name),
        Key("note", OrNull(TEXT), "The note; null without one.", lambda words: words.note),
        Key("noted_by", OrNull(TEXT), "Who wrote the note: USER@HOST.", lambda words: words.noted_by),
        Key("noted_at", OrNull(TIME), "When the note was written.", lambda words: words.noted_at),
        Key("tags", MapOf(TEXT, "tag"), "The tags.", lambda words: words.tags),
        Key("commit", OrNull(COMMIT), "The commit behind the sweep; null without one.", lambda words: words.commit),
        Key("exclusion", OrNull(EXCLUSION), "Null for a run that counts.", lambda words: words.exclusion),
    ),
)
_SAID = View[RunRecord](
    "run-said",
    "A run with what people say about it.",
    (
        Key("run", TEXT, "The run's id.", lambda record: record.header.run),
        Key("sweep", TEXT, "The sweep's name.", lambda record: record.header.sweep),
        Key("words", RUN_WORDS, "What people say about the run.", lambda record: record.words),
    ),
)
_SAID_ROW = View[RunRecord](
    "run-said-row",
    "A run with what people say about it.",
    (
        Key("run", TEXT, "The run's id.", lambda record: record.header.run),
        Key("name", OrNull(TEXT), "The run's name.", lambda record: record.words.name),
        Key("note", OrNull(TEXT), "The note.", lambda record: record.words.note),
        Key("tags", TEXT, "The tags, as key=value.", lambda record: tag_text(record.words)),
        Key(
            "excluded",
            OrNull(TEXT),
            "Why the run does not count.",
            lambda record: record.words.exclusion and record.words.exclusion.reason,
        ),
    ),
)
SAID = Shape[RunRecord](_SAID, _SAID_ROW, lambda record: [record])
_DELETION = View[Deletion](
    "run-deletion",
    "What the deletion of a run removed.",
    (
        Key("run", TEXT, "The id of the deleted run.", lambda deletion: deletion.run),
        Key("name", OrNull(TEXT), "The name of the deleted run.", lambda deletion: deletion.name),
        Key("devices", INTEGER, "How many devices the run had.", lambda deletion: deletion.devices),
        Key("trials", INTEGER, "How many trials went, preflights included.", lambda deletion: deletion.trials),
        Key("attempts", INTEGER, "How many attempts went.", lambda deletion: deletion.attempts),
        Key("measurements", INTEGER, "How many measurements went.", lambda deletion: deletion.measurements),
        Key("annotations", INTEGER, "How many annotations of the run went.", lambda deletion: deletion.annotations),
    ),
)
DELETED = Shape[Deletion](_DELETION, _DELETION, lambda deletion: [deletion])


def tag_text(words: RunWords) -> str:
    """Return tags on a line: `branch=main, host=ci`."""
    return ", ".join(f"{key}={value}" for key, value in words.tags.items())


def said_report(record: RunRecord) -> Report:
    """Return what people say about a run as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.run_words import said_lines

        return said_lines(record)

    return Report(record, SAID, draw)


def deletion_report(deletion: Deletion) -> Report:
    """Return a deletion as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.run_words import deletion_line

        return deletion_line(deletion)

    return Report(deletion, DELETED, draw)
