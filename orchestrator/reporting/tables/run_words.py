"""Draw what people say about a run."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from orchestrator.domain.run import RunRecord
from orchestrator.domain.run_words import Deletion, RunWords
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import clean

_SHA_SHOWN = 12


def said_lines(record: RunRecord) -> Group:
    """Return a run's id with all words."""
    return Group(Text(f"run {clean(record.header.run)}", style="bold"), *word_lines(record.words))


def word_lines(words: RunWords) -> Iterator[Text]:
    """Yield a line for each word about a run."""
    # First what changes the meaning of every figure below.
    if (exclusion := words.exclusion) is not None:
        said = f"excluded by {exclusion.who} {numbers.told(exclusion.at)}: {exclusion.reason}"
        yield Text(clean(said), style="bold yellow")
    if words.started_by is not None:
        yield Text(clean(f"started by: {words.started_by}"))
    if words.name is not None:
        yield Text(clean(f"name: {words.name}"))
    if words.note is not None:
        yield Text(clean(f"note: {words.note} ({words.noted_by}, {numbers.told(words.noted_at)})"))
    if words.tags:
        yield Text(clean("tags: " + ", ".join(f"{key}={value}" for key, value in words.tags.items())))
    if (commit := words.commit) is not None:
        yield Text(clean(f"commit: {commit.sha[:_SHA_SHOWN]}{', with changes since' if commit.dirty else ''}"))


def deletion_line(deletion: Deletion) -> Text:
    """Return the line of a deletion."""
    called = f" ({deletion.name})" if deletion.name else ""
    counts = (
        (deletion.devices, "device"),
        (deletion.trials, "trial"),
        (deletion.attempts, "attempt"),
        (deletion.measurements, "measurement"),
        (deletion.annotations, "annotation"),
    )
    removed = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in counts)
    return Text(clean(f"run {deletion.run}{called} deleted: {removed}"))
