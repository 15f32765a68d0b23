"""A figure, its bound, and how both are printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `at_most` is the bound that the project promises, None where it only informs."""

    name: str
    value: float
    unit: str
    at_most: float | None = None

    @property
    def kept(self) -> bool:
        """Return whether the bound holds."""
        return self.at_most is None or self.value <= self.at_most


def print_figures(title: str, figures: Sequence[Figure], as_json: bool) -> bool:
    """Print the figures of one benchmark; return whether every bound holds."""
    if as_json:
        rows = [asdict(figure) | {"kept": figure.kept} for figure in figures]
        print(json.dumps({"benchmark": title, "figures": rows}, indent=2))
    else:
        width = max(len(figure.name) for figure in figures)
        print(title)
        for figure in figures:
            bound = (
                "" if figure.at_most is None else f"  at most {figure.at_most:g}: {'ok' if figure.kept else 'MISSED'}"
            )
            print(f"  {figure.name:<{width}}  {figure.value:>12.4g} {figure.unit:<8}{bound}".rstrip())
    return all(figure.kept for figure in figures)
