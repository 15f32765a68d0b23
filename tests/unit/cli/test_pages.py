"""Every command that a page shows is understood: its words are commands, options and arguments that there are.

What the commands do there is tried by the system tests of some pages.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.cli.commands import LEAVES, root
from tests.unit.cli.processes import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
_ENDS = frozenset({"|", ">", "<", "&&", "||", ";"})
"""What the shell takes for itself, with the words behind."""


def commands_of(text: str) -> list[str]:
    """Return the command lines of a page: of four blanks and more, or in a block for the shell."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^ {4,}(benchfleet .+)$", outside, re.MULTILINE) + [
        line for block in blocks for line in re.findall(r"^\s*(benchfleet .+)$", block, re.MULTILINE)
    ]


def words_of(line: str) -> list[str]:
    """Return the words of a command, without what is the shell's."""
    words = shlex.split(line, comments=True)[1:]
    ends = [place for place, word in enumerate(words) if word in _ENDS]
    return words[: ends[0]] if ends else words


def why_not(words: Sequence[str]) -> str | None:
    """Return why a command is not understood, or None. Nothing is executed."""
    if not words or words[0].startswith("-"):
        return None
    name = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in LEAVES), None)
    if name is None and len(words) == 1 and getattr(root().commands.get(words[0]), "invoke_without_command", False):
        return None
    if name is None:
        return "there is no such command"
    try:
        LEAVES[name].make_context(name, list(words[len(name.split()) :]))
    except Exception as error:  # noqa: BLE001 - Typer's own classes of errors are private
        return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    asked = {line: words_of(line) for line in commands_of(page.read_text(encoding="utf-8"))}
    assert {line: why for line, words in asked.items() if (why := why_not(words))} == {}


def test_many_commands_are_looked_at() -> None:
    assert sum(len(commands_of(page.read_text(encoding="utf-8"))) for page in PAGES) > 120


@pytest.mark.parametrize(
    "line",
    [
        "benchfleet compar last",
        "benchfleet compare last --bye variant",
        "benchfleet runs samples last",
        "benchfleet db copy",
        "benchfleet runs list --limit many",
    ],
)
def test_what_is_not_understood_is_seen(line: str) -> None:
    assert why_not(words_of(line)) is not None
