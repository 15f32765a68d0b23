"""Draw the cleaning of devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.cleaning import Cleaning, Item, ItemKind
from orchestrator.domain.errors import OrchestratorError
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.tables.columns import Column, plain_table
from orchestrator.reporting.tables.fleet import error_lines
from orchestrator.reporting.text import ABSENT, clean

_NAME_DIGITS = 12


def clean_report(results: Mapping[str, Cleaning | OrchestratorError], *, dry_run: bool) -> RenderableType:
    """Return a row for each device, then the kept runs and workers with reasons, and the errors."""
    done = {name: answer for name, answer in results.items() if not isinstance(answer, OrchestratorError)}
    columns = (
        Column("device"),
        Column("would free" if dry_run else "freed", right=True),
        Column("would remove" if dry_run else "removed", prose=True),
        Column("kept", prose=True),
    )
    parts: list[RenderableType] = []
    if done:
        parts.append(plain_table(columns, (_row(name, answer) for name, answer in done.items())))
    for name, answer in results.items():
        if isinstance(answer, OrchestratorError):
            parts += error_lines(answer, device=name)
        else:
            parts += _reasons(name, answer.kept)
    return Group(*parts)


def _row(name: str, answer: Cleaning) -> tuple[str, str, str, str]:
    return name, numbers.size(answer.freed_bytes), _counted(answer.removed), _counted(answer.kept)


def _counted(items: Sequence[Item]) -> str:
    counts = Counter(item.kind for item in items)
    return ", ".join(f"{counts[kind]} {kind}{'s' * (counts[kind] > 1)}" for kind in ItemKind if counts[kind]) or ABSENT


def _reasons(name: str, kept: Sequence[Item]) -> Iterator[Text]:
    """Yield a line with the reason for each kept run and worker."""
    # Blobs stay for the runs that need them, and may be hundreds.
    for item in kept:
        if item.kind is not ItemKind.BLOB:
            named = item.name if item.kind is ItemKind.RUN else item.name[:_NAME_DIGITS]
            yield Text.assemble(("kept: ", "bold"), clean(f"{name}: {item.kind} {named}: {item.reason}"))
