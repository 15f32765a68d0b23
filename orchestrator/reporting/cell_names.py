"""Shorten the names of cells: what all cells of a run share is told once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

JOINT = " · "
"""What stands between the parts of a cell's name."""


def shared_parts(labels: Iterable[str]) -> Sequence[str]:
    """Return the parts that the names of all cells have. A single cell shares nothing."""
    return shared_of([parts_of(label) for label in dict.fromkeys(labels)])


def parts_of(label: str) -> tuple[str, ...]:
    """Return the parts of a cell's name."""
    return tuple(label.split(JOINT))


def shared_of(names: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the parts that all names have, each given by its parts."""
    if len(names) < 2:
        return ()
    shared = set(names[0]).intersection(*names[1:])
    # A name whose every part is shared would be empty.
    return () if any(shared.issuperset(parts) for parts in names) else [part for part in names[0] if part in shared]


def short_label(label: str, shared: Collection[str]) -> str:
    """Return the name of a cell without the shared parts."""
    return JOINT.join(part for part in label.split(JOINT) if part not in shared) if shared else label


def shared_words(shared: Sequence[str]) -> str:
    """Return the line that tells the shared parts."""
    return f"all cells: {JOINT.join(shared)}"
