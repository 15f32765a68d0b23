"""Guess what someone meant to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], count: int = 1) -> tuple[str, ...]:
    """Return the known words most like `word`, best first; none if nothing is close."""
    by_folded = {name.casefold(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=count, cutoff=0.6)
    return tuple(by_folded[folded] for folded in close)


def did_you_mean(word: str, known: Iterable[str], limit: int = 12) -> str:
    """Return a hint: the nearest known word, or all of them if none is near."""
    names = list(known)
    close = nearest(word, names)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "there is none"
    more = f", … ({len(names)} in all)" if len(names) > limit else ""
    return "known: " + ", ".join(names[:limit]) + more
