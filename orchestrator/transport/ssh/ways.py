"""Describe a host's way through the ssh configuration: hosts of one way differ in nothing but plain values.

ssh is asked about one host of each way (docs/decisions/0054-one-start-of-ssh-for-hosts-of-one-way.md).
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.jumps import jumps_of
from orchestrator.transport.ssh.options import Option
from orchestrator.transport.ssh.parser import Statement

TOKENS = frozenset("%$")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FILE = re.compile(r"(~/)?[A-Za-z0-9._/-]+")
_PLAIN = {
    "hostname": re.compile(r"[a-z0-9_][a-z0-9._-]*"),
    "port": re.compile(r"[1-9][0-9]*"),
    "user": _NAME,
    "hostkeyalias": _NAME,
    "identityfile": _FILE,
    "certificatefile": _FILE,
}
"""The options whose values differ from device to device, and the values that every reader takes as they are."""

_PATTERNS = re.compile(r"[A-Za-z0-9._*?!-]+([ \t]+[A-Za-z0-9._*?!-]+)*")
_CRITERIA = re.compile(r"(host|originalhost|user|localuser|final|all)([ \t]+[A-Za-z0-9._*?!,-]+)*")
_NUMBERS = re.compile(r"[0-9][0-9a-fx.]*")
_COMMENT = re.compile(r"[ \t]+#[^'\"\\]*")


class Way:
    """The steps of one host through the files, as `Walk` takes them.

    A step is a statement that the host takes, or a Host or Match that decides about the host. What a plain value says,
    and in which line a plain pattern stands, is left out. `files` are the files read, in order.
    """

    def __init__(self, question: Question) -> None:
        self.files: list[Path] = []
        self._question = question
        self._steps: list[Hashable] = []
        self._values: dict[str, list[str]] = {}
        self._unsure = False

    def open(self, statement: Statement, holds: object) -> None:
        """Take note of whether a Host or a Match holds. A doubt is neither true nor false."""
        self._unsure |= not isinstance(holds, bool)
        text, comment = _without_comment(statement.text)
        plain = _PATTERNS if statement.keyword == "host" else _CRITERIA
        if not plain.fullmatch(text):
            self._steps.append((statement.place, statement.text, holds))
        elif holds is True:
            self._steps.append((statement.keyword, comment))

    def take(self, option: Option, statement: Statement) -> None:
        """Take note of a statement whose value holds for the host."""
        text, comment = _without_comment(statement.text)
        plain = _PLAIN.get(option.keyword)
        is_plain = plain is not None and plain.fullmatch(text) is not None and text.lower() != "none"
        if not is_plain or (option.keyword == "hostname" and not _is_usual(text)):
            self._steps.append((option.keyword, statement.text))
            return
        # Whether a value is there already makes a difference: ssh keeps the first of two equal files.
        values = self._values.setdefault(option.keyword, [])
        if text not in values:
            values.append(text)
        self._steps.append((option.keyword, values.index(text), comment, _kind(text)))

    def doubt(self) -> None:
        """Take note of a line that ssh may read in another way."""
        self._unsure = True

    def steps(self, answer: Answer) -> Hashable | None:
        """Return what hosts of one way have in common, or None for a host that ssh has to be asked about alone."""
        host, user, port = self._question.host, self._question.user, self._question.port
        if self._unsure or not _NAME.fullmatch(host) or (user is not None and not _NAME.fullmatch(user)):
            return None
        if not _is_usual(host) or not _is_usual(answer.first("hostname") or "") or _jumps_to_itself(answer):
            return None
        return (_kind(host), user is None, port is None, *self._steps)


def _without_comment(text: str) -> tuple[str, bool]:
    """Return a value without its comment, and whether there was a comment."""
    at = text.find("#")
    found = _COMMENT.search(text) if at > 0 else None
    if found is None or found.end() != len(text) or found.start() > at:
        return text, False
    return text[: found.start()], True


def _kind(value: str) -> str:
    """Say what ssh may take a value for beside a word."""
    return "number" if _NUMBERS.fullmatch(value) else "home" if value.startswith("~") else "word"


def _is_usual(host: str) -> bool:
    """Say whether a name is in the form in which ssh prints the name: in lower case, an address with four numbers."""
    if not _NUMBERS.fullmatch(host):
        return host == host.lower()
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdecimal() and str(int(part)) == part and int(part) < 256 for part in parts)


def _jumps_to_itself(answer: Answer) -> bool:
    """Say whether a host is its own jump host, which ssh refuses by names, users and ports."""
    written = answer.first("proxyjump")
    names = {answer.question.host, answer.first("hostname")}
    return written is not None and any(jump.host.lower() in names for jump in jumps_of(written))
