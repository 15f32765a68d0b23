"""What a fuzz target is: a parser, what it may answer, and what to begin with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Defect(AssertionError):
    """A parser took or said something that it must not."""


Feed = Callable[[bytes], None]
"""Gives one input to a parser; returns quietly also where the parser refuses it as it promises to.

Whatever it raises is a defect.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A parser with real inputs (`corpus`, which are also mutated) and those fed once, as they are (`hazards`)."""

    name: str
    feed: Feed
    corpus: Sequence[bytes]
    hazards: Sequence[bytes] = field(default=())


def check_said(message: str, begins_with: str = "") -> None:
    """Raise Defect unless an error's message is bounded, encodable and names its file where there is one."""
    if begins_with and not message.startswith(begins_with):
        raise Defect(f"the error does not begin with its file: {message[:200]!r}")
    if len(message) > 20_000:
        raise Defect(f"an error of {len(message)} characters: {message[:200]!r}")
    message.encode("utf-8", "backslashreplace")
