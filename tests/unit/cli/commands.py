"""The command tree, as the tests of every command walk it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

from orchestrator.cli.app import app


@cache
def root() -> Any:
    """Return the tree's root; Typer's own classes are private, so nothing here names them."""
    return typer.main.get_command(app)


def leaves() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with its words."""
    yield from _below((), root())


def _below(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        yield from _below((*words, name), child)


LEAVES = {" ".join(words): command for words, command in leaves()}
GROUPS = ("", *(name for name, child in root().commands.items() if hasattr(child, "commands")))
