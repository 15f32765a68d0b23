"""Guess the known word meant by a mistyped word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import takewhile

LIKENESS_MIN = 0.6
_CHARACTERS_MAX = 200
"""A longer word is no mistyped one, and takes long to compare."""


def nearest(word: str, known: Iterable[str], count: int = 1) -> tuple[str, ...]:
    """Return the known words most like `word`, best first, or none if no word is close.

    Among equally close words, a longer common beginning goes first, then the order of names.
    """
    if len(word) > _CHARACTERS_MAX:
        return ()
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(word.casefold())  # the matcher prepares its second sequence once, for all names
    likeness = {}
    for name in set(known):
        matcher.set_seq1(name.casefold())
        # Upper bounds first: the exact ratio is slow for hundreds of names.
        if matcher.real_quick_ratio() >= LIKENESS_MIN and matcher.quick_ratio() >= LIKENESS_MIN:
            likeness[name] = matcher.ratio()
    close = [name for name, ratio in likeness.items() if ratio >= LIKENESS_MIN]

    def rank(name: str) -> tuple[float, int, str]:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(word.casefold(), name.casefold(), strict=False))
        return -likeness[name], -len(list(alike)), name

    return tuple(sorted(close, key=rank)[:count])


def did_you_mean(word: str, known: Iterable[str], limit: int = 12) -> str:
    """Return a hint with the nearest known word, or with all known words if none is near."""
    names = list(known)
    close = nearest(word, names)
    return f"did you mean {close[0]!r}?" if close else all_known(names, limit)


def all_known(names: Sequence[str], limit: int = 12) -> str:
    """Return a hint with the first `limit` names."""
    if not names:
        return "there is none"
    more = f", … ({len(names)} in all)" if len(names) > limit else ""
    return "known: " + ", ".join(names[:limit]) + more
