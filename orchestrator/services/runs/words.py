"""Name, note, tag, exclude and delete runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.run import RunRecord
from orchestrator.domain.run_words import Deletion, NewWords, checked_key, checked_run_name, read_tags
from orchestrator.services.history.reasons import stated
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    from orchestrator.services.base import FleetWiring


@dataclass(frozen=True, slots=True)
class WordsRequest:
    """Ask for the words of a new run: `tags` are texts such as `branch=main`."""

    name: str | None = None
    note: str | None = None
    tags: Sequence[str] = ()

    def read(self) -> NewWords:
        """Return the words, of nobody yet. Raise ConfigError for words that a run cannot have."""
        return NewWords(
            name=None if self.name is None else checked_run_name(self.name),
            note=None if self.note is None else stated(self.note, "--note"),
            tags=read_tags(self.tags),
        )


def note(run: str, text: str, wiring: FleetWiring) -> RunRecord:
    """Record the note of a run, in the place of an earlier note, and return the run."""
    line = stated(text, "a note")
    name = require_run(wiring.store.runs, run).header.run
    wiring.store.words.write_note(name, line, wiring.identity().holder)
    return require_run(wiring.store.runs, name)


def tag(run: str, tags: Sequence[str], remove: Sequence[str], wiring: FleetWiring) -> RunRecord:
    """Set and remove tags of a run, and return the run. Raise ConfigError for nothing to do."""
    new, gone = read_tags(tags), [checked_key(key) for key in remove]
    if not new and not gone:
        raise ConfigError("which tag?", "benchfleet runs tag RUN branch=main, or --remove branch")
    both = sorted(set(gone) & set(new))
    if both:
        raise ConfigError(f"tag {both[0]} is set and removed at the same time", "leave one of them out")
    name = require_run(wiring.store.runs, run).header.run
    wiring.store.words.change_tags(name, new, gone, wiring.identity().holder)
    return require_run(wiring.store.runs, name)


def exclude(run: str, reason: str, wiring: FleetWiring) -> RunRecord:
    """Take a run out of every view, history, baseline and comparison by date, and return the run."""
    why = stated(reason)
    name = require_run(wiring.store.runs, run).header.run
    wiring.store.words.exclude(name, why, wiring.identity().holder)
    return require_run(wiring.store.runs, name)


def include(run: str, wiring: FleetWiring) -> RunRecord:
    """End the exclusion of a run, and return the run."""
    name = require_run(wiring.store.runs, run).header.run
    wiring.store.words.include(name)
    return require_run(wiring.store.runs, name)


def delete(run: str, wiring: FleetWiring, agreed: Callable[[RunRecord], bool]) -> Deletion | None:
    """Delete a run with all measurements, once `agreed` says so. Return None without agreement."""
    record = require_run(wiring.store.runs, run)
    if record.finished_at is None:
        raise ConfigError(
            f"run {record.header.run} is under way", f"benchfleet runs cancel {record.header.run} ends it"
        )
    if not agreed(record):
        return None
    return wiring.store.words.delete(record.header.run, wiring.identity().holder)
