"""Hold what a reader of the ssh configuration has found out about one host: the options as `ssh -G` prints options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Question:
    """A host as the user or the inventory writes the host, with the user and the port that win over every file."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The options of a host. An option that no file sets may be absent.

    `lines` has the values by keyword, one for each line of `ssh -G`. `words` has the values that were read word by
    word, for lists of files with spaces. `places` has FILE:LINE of an option where known. With `by_ssh` the tokens are
    filled in already wherever `ssh -G` prints tokens filled in. `files` are the files read, in order.
    """

    question: Question
    lines: Mapping[str, tuple[str, ...]]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    by_ssh: bool = False
    files: tuple[str, ...] = ()

    def first(self, keyword: str) -> str | None:
        """Return the only value of an option, or None."""
        values = self.lines.get(keyword, ())
        return values[0] if values else None
