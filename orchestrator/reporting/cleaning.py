"""What came of cleaning devices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.domain.cleaning import Cleaning, Kind, Thing
from orchestrator.domain.errors import OrchestratorError
from orchestrator.reporting import numbers
from orchestrator.reporting.columns import Column, plain_table
from orchestrator.reporting.fleet import error_lines
from orchestrator.reporting.text import ABSENT, clean

_NAME_DIGITS = 12


def clean_rows(results: Mapping[str, Cleaning | OrchestratorError]) -> Sequence[Mapping[str, object]]:
    """Return what `clean_report` shows as data; of a device that was not cleaned, the error."""
    return [
        {"name": name, "freed_bytes": None, "removed": [], "kept": [], "error": answer}
        if isinstance(answer, OrchestratorError)
        else {
            "name": name,
            "freed_bytes": answer.freed_bytes,
            "removed": answer.removed,
            "kept": answer.kept,
            "error": None,
        }
        for name, answer in results.items()
    ]


def clean_report(results: Mapping[str, Cleaning | OrchestratorError], *, dry_run: bool) -> RenderableType:
    """Return a row per device, then what stays of runs and workers with its reason, then what failed."""
    done = {name: answer for name, answer in results.items() if not isinstance(answer, OrchestratorError)}
    columns = (
        Column("device"),
        Column("would free" if dry_run else "freed", right=True),
        Column("would remove" if dry_run else "removed", fold=True),
        Column("kept", fold=True),
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


def _counted(things: Sequence[Thing]) -> str:
    counts = Counter(thing.kind for thing in things)
    return ", ".join(f"{counts[kind]} {kind}{'s' * (counts[kind] > 1)}" for kind in Kind if counts[kind]) or ABSENT


def _reasons(name: str, kept: Sequence[Thing]) -> Iterator[Text]:
    """Say of each run and worker why it stays; blobs stay for the runs that need them."""
    for thing in kept:
        if thing.kind is not Kind.BLOB:
            named = thing.name if thing.kind is Kind.RUN else thing.name[:_NAME_DIGITS]
            yield Text.assemble(("kept: ", "bold"), clean(f"{name}: {thing.kind} {named}: {thing.reason}"))
