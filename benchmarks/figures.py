"""A figure, its bound, and how both are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

_NAME_WIDTH = 56


@dataclass(frozen=True, slots=True)
class Figure:
    """Hold one measured number, with the bounds that the project promises, None where the number only informs."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def kept(self) -> bool:
        """Return whether the bound holds."""
        low, high = self.at_least, self.at_most
        return (high is None or self.value <= high) and (low is None or self.value >= low)

    @property
    def bound(self) -> str:
        """Return the bounds in words, with whether they are kept, or nothing."""
        words = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        words += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return f"  {', '.join(words)}: {'ok' if self.kept else 'MISSED'}" if words else ""


def print_figures(title: str, figures: Iterable[Figure], as_json: bool) -> bool:
    """Print each figure of a benchmark as soon as it is measured, and return whether every bound holds.

    JSON comes at the end, as one document.
    """
    kept = True
    measured = []
    if not as_json:
        print(title, flush=True)
    for figure in figures:
        kept &= figure.kept
        measured.append(asdict(figure) | {"kept": figure.kept})
        if not as_json:
            # Flushed, for a reader of a pipe or a file: some benchmarks take a quarter of an hour.
            row = f"  {figure.name:<{_NAME_WIDTH}}  {figure.value:>12.4g} {figure.unit:<8}{figure.bound}"
            print(row.rstrip(), flush=True)
    if as_json:
        print(json.dumps({"benchmark": title, "figures": measured}, indent=2))
    return kept
