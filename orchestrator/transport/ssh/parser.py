"""Read ssh configuration without ssh: files into statements, and statements into the options of one host.

The parser stands in where no `ssh` program can be asked. What the parser does not understand is never taken for true:
a statement that holds for the host, or may hold, and that would make a difference is refused with FILE:LINE. Statements
of other hosts do no harm. Source: ssh_config(5), and the behaviour of OpenSSH 9.2.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from orchestrator.transport.ssh.options import BY_KEYWORD
from orchestrator.transport.ssh.tokens import home
from orchestrator.transport.ssh.wording import BLANKS, Unusable, arguments, cut

SYSTEM_DIRECTORY = Path("/etc/ssh")
DEEP_MAX = 16
HOST, MATCH, INCLUDE = "host", "match", "include"
_OPENINGS = (HOST, MATCH)
_NAMES = re.compile(r"[A-Za-z0-9._-]+([ \t]+[A-Za-z0-9._-]+)*")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class NotUnderstood(Unusable):
    """A line cannot be followed. The message begins with FILE:LINE."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A line with a keyword. `text` is the rest as written, `words` the words, `fault` why there are none."""

    place: str
    keyword: str
    text: str
    words: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """The statements from one Host or Match to the next. The first block of a file has no opening.

    `names` are the only hosts that the block is for, None if a pattern or a Match decides.
    """

    opening: Statement | None
    body: tuple[Statement, ...]
    includes: bool
    names: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read: `of_user` for the rules of the user's own files, `guarded` if others must not write the file."""

    path: Path
    of_user: bool
    guarded: bool

    @property
    def directory(self) -> Path:
        """The directory of relative includes."""
        return home() / ".ssh" if self.of_user else SYSTEM_DIRECTORY

    def included(self, path: Path) -> Source:
        """Return an included file."""
        return Source(path, self.of_user, guarded=True)


def blocks(source: Source) -> tuple[Block, ...]:
    """Return the blocks of a file. Raise OSError if the file cannot be read, NotUnderstood if others may write."""
    info = source.path.stat()
    if source.guarded and (info.st_uid not in {0, os.getuid()} or info.st_mode & _WRITABLE_BY_OTHERS):
        raise NotUnderstood(f"{source.path}: others may write the file, so that ssh does not use the file either")
    if stat.S_ISCHR(info.st_mode) and source.path == Path(os.devnull):
        return ()
    if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
        raise NotUnderstood(f"{source.path}: not a regular file")
    return _blocks(source.path, (info.st_ino, info.st_size, info.st_mtime_ns))


def included(pattern: str, source: Source, place: str) -> Iterator[Source]:
    """Yield the files of an Include, by name. A pattern without files is no mistake."""
    if pattern.startswith("~") and not source.of_user:
        raise NotUnderstood(f"{place}: Include of ~ outside of a user's own files")
    names = glob.glob(os.path.join(source.directory, os.path.expanduser(pattern)))  # noqa: PTH111, PTH118, PTH207
    for name in sorted(names):
        yield source.included(Path(name))


@lru_cache(maxsize=256)
def _blocks(path: Path, _version: tuple[int, int, int]) -> tuple[Block, ...]:
    """Return the blocks of a file. `_version` makes the cache read a changed file again."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    found: list[Block] = []
    opening: Statement | None = None
    body: list[Statement] = []
    for number, line in enumerate(text.split("\n"), 1):
        statement = _statement(f"{path}:{number}", line)
        if statement is None:
            continue
        if statement.keyword in _OPENINGS:
            found.append(_block(opening, body))
            opening, body = statement, []
        else:
            body.append(statement)
    return (*found, _block(opening, body))


def _block(opening: Statement | None, body: list[Statement]) -> Block:
    includes = any(statement.keyword == INCLUDE for statement in body)
    is_named = opening is not None and opening.keyword == HOST and _NAMES.fullmatch(opening.text) is not None
    return Block(opening, tuple(body), includes, frozenset(opening.words) if opening and is_named else None)


def _statement(place: str, line: str) -> Statement | None:
    """Return the statement of a line, or None for a comment or a line without words."""
    line = line.partition("\0")[0].rstrip(BLANKS + "\f")
    keyword, rest = cut(line)
    if keyword == "":
        keyword, rest = cut(rest)
    if not keyword or keyword.startswith("#"):
        return None
    keyword, text = keyword.lower(), (rest or "").lstrip(BLANKS)
    if not text:
        return Statement(place, keyword, text, fault=f"{keyword} has no value")
    try:
        words = tuple(arguments(text))
    except ValueError as error:
        return Statement(place, keyword, text, fault=str(error))
    known = keyword in BY_KEYWORD or keyword in {HOST, MATCH, INCLUDE}
    return Statement(place, keyword, text, words, fault="" if known else _unknown(keyword))


def _unknown(keyword: str) -> str:
    return f"{keyword} is no option of ssh that is known here"
