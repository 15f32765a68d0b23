"""Say what a scaffold is: the files and lines that make a new plug, and what proves that the house took the plug."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Edit = Callable[[str], str]


@dataclass(frozen=True)
class Command:
    """Arguments of the interpreter that write files."""

    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Scaffold:
    """A new thing of one kind, as a stranger would add one.

    `files` are new files by path. `edits` change files that exist. `then` follows the edits, in order: commands, as
    arguments of the interpreter, that write further files, and edits that need these. `proof` is a part of the id of a
    test that the new thing alone brings into the contract suite.
    """

    name: str
    proof: str
    files: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, Edit] = field(default_factory=dict)
    then: tuple[Command | tuple[str, Edit], ...] = ()


def after(anchor: str, addition: str) -> Edit:
    """Return the edit that puts a text behind the one place where `anchor` stands."""

    def edit(text: str) -> str:
        assert text.count(anchor) == 1, f"{anchor!r} stands {text.count(anchor)} times"
        return text.replace(anchor, anchor + addition)

    return edit


def instead(pattern: str, replacement: str) -> Edit:
    """Return the edit that replaces the one match of a pattern."""

    def edit(text: str) -> str:
        changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count == 1, f"{pattern!r} matches {count} times"
        return changed

    return edit


def at_the_end(addition: str) -> Edit:
    """Return the edit that appends a text."""
    return lambda text: text + addition


def in_turn(*edits: Edit) -> Edit:
    """Return the edit that makes several."""

    def edit(text: str) -> str:
        for one in edits:
            text = one(text)
        return text

    return edit
