"""Draw what a pruning of raw samples removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from orchestrator.domain.pruning import Pruning
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import shown


def pruning_lines(pruning: Pruning) -> Group:
    """Return in lines what went, what stays, and how the disk gets the room back."""
    return Group(*_lines(pruning))


def question(pruning: Pruning) -> str:
    """Return the question before a pruning."""
    return f"{_what(pruning)}: delete for good? Summaries stay."


def _lines(pruning: Pruning) -> Iterator[Text]:
    verb = "would be deleted" if pruning.dry_run else "deleted"
    yield shown(f"{verb}: {_what(pruning)}")
    for reason, number in Counter(pruning.kept.values()).items():
        yield shown(f"kept: raw samples of {_counted(number, 'run')}, {reason.value}")
    if pruning.advice:
        yield shown(pruning.advice)


def _what(pruning: Pruning) -> str:
    parts = [f"raw samples of {_counted(len(pruning.runs), 'run')} from before {numbers.told(pruning.before)}"]
    if pruning.contents.blocks:
        parts.append(f"{_counted(pruning.contents.blocks, 'chunk')} of cut submissions")
    return f"{' and '.join(parts)} ({numbers.size(pruning.size_bytes)})"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
