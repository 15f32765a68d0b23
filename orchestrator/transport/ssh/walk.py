"""Follow the statements of ssh configuration for one host, in the way of ssh: the first value of an option wins."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.domain.quoting import quoted
from orchestrator.transport.known_hosts import SSH_PORT, matches_pattern
from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.jumps import Jump, jumps_of
from orchestrator.transport.ssh.options import BY_KEYWORD, Option, Reads
from orchestrator.transport.ssh.parser import (
    DEEP_MAX,
    HOST,
    INCLUDE,
    Block,
    NotUnderstood,
    Source,
    Statement,
    blocks,
    included,
)
from orchestrator.transport.ssh.program import LATE_S, Late, end_session
from orchestrator.transport.ssh.tokens import Target, TokenUnknown, fill, local_user
from orchestrator.transport.ssh.ways import TOKENS, Way
from orchestrator.transport.ssh.wording import BLANKS, cut

_NONE = "none"
_YES = {"true": "yes", "false": "no"}
_TIME = re.compile(r"(\d+)([smhdw]?)", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SECONDS_MAX = 2**31 - 1
_FILES_MAX = 100
_PASSES = ("canonical", "final")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Whether a block holds cannot be told, for the reason given with FILE:LINE."""

    reason: str


Holds = bool | Doubt


class Walk:
    """One host's way through the files, once or, for `Match final`, twice.

    `usual` has the lists of algorithms that a list with +, - or ^ changes. With `commands` false the command of a
    `Match exec` is not run, and not understood.
    """

    def __init__(self, question: Question, usual: Mapping[str, Sequence[str]], *, commands: bool = True) -> None:
        self.way = Way(question)
        self._commands = commands
        self._question = question
        self._usual = usual
        self._host = question.host
        self._lines: dict[str, list[str]] = {}
        self._words: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, str] = {}
        self._final = self._wants_final = False
        self._set_given()

    def answer(self, sources: Sequence[Source]) -> Answer:
        """Return the options of the host. Raise NotUnderstood, or OSError for a file that cannot be read."""
        self._pass(sources)
        self._host = self._present_host()
        if self._wants_final:
            self._final = True
            self._lines["hostname"] = [self._host.replace("%", "%%")]
            self._pass(sources)
            self._host = self._present_host()
        lines = {keyword: tuple(values) for keyword, values in self._lines.items()}
        lines["hostname"] = (self._host,)
        lines.setdefault("user", (local_user(),))
        lines.setdefault("port", (str(SSH_PORT),))
        for keyword in ("proxycommand", "knownhostscommand", "revokedhostkeys", "pkcs11provider", "proxyjump"):
            if lines.get(keyword, ("",))[0].lower() == _NONE:
                del lines[keyword]
        return Answer(self._question, lines, self._words, self._places)

    def _set_given(self) -> None:
        if self._question.user is not None:
            self._lines["user"] = [self._question.user]
        if self._question.port is not None:
            self._lines["port"] = [str(self._question.port)]

    def _pass(self, sources: Sequence[Source]) -> None:
        for source in sources:
            self._file(source, True, 0)

    def _file(self, source: Source, outer: Holds, depth: int) -> None:
        """Follow a file. `outer` says whether the block holds that includes the file."""
        if depth > DEEP_MAX:
            if outer is False:
                return
            raise NotUnderstood(f"{source.path}: files include each other")
        self.way.files.append(source.path)
        for block in blocks(source):
            holds = self._block_holds(block, outer)
            if holds is False and not block.includes:
                continue
            for statement in block.body:
                if statement.keyword == INCLUDE:
                    self._include(statement, source, holds, depth)
                elif holds is not False:
                    self._take(statement, holds)

    def _block_holds(self, block: Block, outer: Holds) -> Holds:
        opening = block.opening
        if opening is None:
            return outer
        if block.names is not None and self._host not in block.names:
            return False  # a lab may have a block for every device
        holds = self._host_holds(opening) if opening.keyword == HOST else self._match_holds(opening, outer)
        self.way.open(opening, _both(outer, holds))
        return _both(outer, holds)

    def _include(self, statement: Statement, source: Source, holds: Holds, depth: int) -> None:
        if holds is False:  # nothing holds there, but a `Match final` counts even so
            with suppress(OSError, NotUnderstood):
                self._include_files(statement, source, holds, depth)
            return
        if statement.fault:
            raise NotUnderstood(f"{statement.place}: {statement.fault}")
        if not TOKENS.isdisjoint(statement.text):  # a later ssh may fill them in
            self.way.doubt()
        self._include_files(statement, source, holds, depth)

    def _include_files(self, statement: Statement, source: Source, holds: Holds, depth: int) -> None:
        for pattern in statement.words:
            for file in included(pattern, source, statement.place):
                with suppress(FileNotFoundError, IsADirectoryError):  # as ssh: a link to nothing is no file
                    self._file(file, holds, depth + 1)

    def _host_holds(self, statement: Statement) -> Holds:
        if statement.fault:
            return Doubt(f"{statement.place}: {statement.fault}")
        holds = False
        for pattern in statement.words:
            if pattern == self._host or matches_pattern(self._host, pattern.removeprefix("!")):
                if pattern.startswith("!"):
                    return False
                holds = True
        return holds

    def _match_holds(self, statement: Statement, outer: Holds) -> Holds:
        """Say whether all criteria of a Match hold. What follows a criterion that is not known may not be read."""
        if statement.fault:
            return Doubt(f"{statement.place}: {statement.fault}")
        rest: str | None = statement.text
        holds = outer is not False
        read = 0
        while rest:
            criterion, rest = cut(rest)
            if not criterion or criterion.startswith("#"):
                break
            negated, name = criterion.startswith("!"), criterion.removeprefix("!").lower()
            if name == "all":
                return self._all_holds(statement, rest, read, holds and not negated)
            read += 1
            if name in _PASSES:
                self._wants_final = self._wants_final or name == "final"
                holds = holds and self._final is not negated
                continue
            value, rest = cut(rest)
            known = self._criterion(name)
            if known is None or not value or value.startswith("#"):
                return holds and Doubt(f"{statement.place}: Match {criterion} is not understood")
            if holds:
                holds = self._criterion_holds(known, value, statement) is not negated
        return holds if read else Doubt(f"{statement.place}: Match without a criterion")

    def _all_holds(self, statement: Statement, rest: str | None, read: int, holds: bool) -> Holds:
        alone = read <= 1 and (not rest or rest.startswith("#"))
        return holds if alone or not holds else Doubt(f"{statement.place}: Match all goes with no other criterion")

    def _criterion(self, name: str) -> Callable[[str], bool] | None:
        return {
            "host": lambda value: _matches(self._present_host(lower=False).lower(), value.lower()),
            "originalhost": lambda value: _matches(self._question.host.lower(), value.lower()),
            "user": lambda value: _matches(self._user(), value),
            "localuser": lambda value: _matches(local_user(), value),
            "tagged": lambda value: _matches(self._first("tag") or "", value),
            "exec": self._succeeds,
        }.get(name)

    def _criterion_holds(self, criterion: Callable[[str], bool], value: str, statement: Statement) -> bool:
        try:
            return criterion(value)
        except TokenUnknown as error:
            raise NotUnderstood(f"{statement.place}: {error}") from error

    def _succeeds(self, command: str) -> bool:
        """Run the command of a `Match exec` by a shell, as ssh does, away from the terminal. Raise Late."""
        if not self._commands:
            raise NotUnderstood(f"a command of Match exec is not run here: {quoted(command)}")
        discard = subprocess.DEVNULL
        line = fill(command, self._target().tokens())
        with subprocess.Popen(  # noqa: S602
            line, shell=True, stdin=discard, stdout=discard, stderr=discard, start_new_session=True
        ) as shell:
            try:
                return shell.wait(LATE_S) == 0
            except subprocess.TimeoutExpired:
                raise Late(f"a command of Match exec has not ended within {LATE_S:g} s: {quoted(command)}") from None
            finally:
                if shell.returncode is None:
                    end_session(shell.pid)

    def _target(self) -> Target:
        host = self._present_host(lower=False)
        alias = self._first("hostkeyalias") or host
        return Target(self._question.host, host, int(self._first("port") or SSH_PORT), self._user(), alias)

    def _user(self) -> str:
        return self._first("user") or local_user()

    def _first(self, keyword: str) -> str | None:
        return next(iter(self._lines.get(keyword, ())), None)

    def _present_host(self, *, lower: bool = True) -> str:
        """Return the name to connect to, as far as known."""
        written = self._first("hostname")
        try:
            host = self._host if written is None else fill(written, {"h": self._host, "%": "%"})
        except TokenUnknown as error:
            raise NotUnderstood(f"{self._places.get('hostname', '')}: {error}") from error
        return usual_form(host) if lower else host

    def _take(self, statement: Statement, holds: Holds) -> None:
        """Take the value of a statement that holds, or refuse a statement that may hold and would make a difference."""
        option = BY_KEYWORD.get(statement.keyword)
        if option is None or (statement.fault and option.honoured):
            if not self._is_ignored(statement):
                raise NotUnderstood(f"{statement.place}: {statement.fault}")
            self.way.doubt()
            return
        if not option.honoured or self._is_set(option):
            return
        if isinstance(holds, Doubt):
            raise NotUnderstood(f"{holds.reason}, and so nobody can tell whether {option.name} is for this host")
        self._set(option, statement)

    def _is_ignored(self, statement: Statement) -> bool:
        return statement.keyword not in BY_KEYWORD and _matches(
            statement.keyword, (self._first("ignoreunknown") or "").lower()
        )

    def _is_set(self, option: Option) -> bool:
        if option.keyword == "proxyjump":  # the first of the two holds, but ProxyJump none leaves ProxyCommand alone
            return "proxyjump" in self._lines or "proxycommand" in self._lines
        if option.keyword == "proxycommand":
            return "proxycommand" in self._lines or self._first("proxyjump") not in {None, _NONE}
        return option.reads is not Reads.EACH and option.keyword in self._lines

    def _set(self, option: Option, statement: Statement) -> None:
        try:
            values = _READERS[option.reads](option, statement)
        except ValueError as error:
            raise NotUnderstood(f"{statement.place}: {error}") from error
        if not values:
            return
        self.way.take(option, statement)
        if option.reads is Reads.NAMES:
            values = [changed(values[0], self._usual.get(option.keyword, ()))]
        if option.reads is Reads.WORDS:
            self._words[option.keyword] = tuple(values)
            values = [" ".join(values)]
        present = self._lines.setdefault(option.keyword, [])
        present += [value for value in values if value not in present]
        self._places.setdefault(option.keyword, statement.place)


def usual_form(host: str) -> str:
    """Return a host name in lower case, and a numeric address in its usual form."""
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)
        usual = socket.getnameinfo(found[0][4], socket.NI_NUMERICHOST)[0]
        return host if usual.lower() == host.lower() else usual
    return "".join(letter.lower() if letter.isascii() else letter for letter in host)


def changed(value: str, usual: Sequence[str]) -> str:
    """Return a list of algorithms. A list that begins with +, - or ^ changes the usual list."""
    change, names = value[:1], value[1:].split(",")
    if change == "+":
        return ",".join(dict.fromkeys([*usual, *names]))
    if change == "-":
        return ",".join(name for name in usual if not _matches(name, value[1:]))
    if change == "^":
        return ",".join(dict.fromkeys([*names, *usual]))
    return value


def _both(outer: Holds, inner: Holds) -> Holds:
    """Say whether a block holds inside another."""
    if outer is False or inner is False:
        return False
    return outer if isinstance(outer, Doubt) else inner


def _matches(name: str, patterns: str) -> bool:
    """Say whether a name matches a list of patterns, and none of those that begin with an exclamation mark."""
    holds = False
    for pattern in patterns.split(","):
        if matches_pattern(name, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            holds = True
    return holds


def _word(option: Option, statement: Statement) -> list[str]:
    if len(statement.words) != 1 or not statement.words[0]:
        raise ValueError(f"{option.name} takes one word, not {statement.text!r}")
    return [statement.words[0]]


def _choice(option: Option, statement: Statement) -> list[str]:
    (word,) = _word(option, statement)
    value = _YES.get(word.lower(), word.lower())
    if value not in option.choices:
        raise ValueError(f"{option.name} takes {', '.join(option.choices)}, not {word!r}")
    return [value]


def _time(option: Option, statement: Statement) -> list[str]:
    (word,) = _word(option, statement)
    if word == _NONE:  # as if the line were not there: a later line may set a time
        return []
    parts = _TIME.findall(word)
    seconds = sum(int(number) * _SECONDS[unit.lower()] for number, unit in parts)
    if "".join(map("".join, parts)) != word or seconds > _SECONDS_MAX:
        raise ValueError(f"{option.name} takes a time such as 10 or 1m30s, not {word!r}")
    return [str(seconds)]


def _port(option: Option, statement: Statement) -> list[str]:
    (word,) = _word(option, statement)
    if not word.isascii() or not word.isdecimal() or not 0 < int(word) < 65536:
        raise ValueError(f"the ssh configuration has {word!r} for a port")
    return [str(int(word))]


def _files(option: Option, statement: Statement) -> list[str]:
    words = list(statement.words)
    alone = len(words) == 1 or _NONE not in map(str.lower, words)
    if not words or "" in words or not alone or len(words) > _FILES_MAX:
        raise ValueError(f"{option.name} takes files, or none alone, not {statement.text!r}")
    return words


def _line(_option: Option, statement: Statement) -> list[str]:
    return [statement.text.lstrip(BLANKS + "=")]


def _jumps(_option: Option, statement: Statement) -> list[str]:
    written = statement.text.lstrip(BLANKS + "=").partition("#")[0].rstrip(BLANKS)
    if written.lower() == _NONE:
        return [_NONE]
    return [",".join(map(Jump.__str__, jumps_of(written)))]


def _by_ssh(option: Option, statement: Statement) -> list[str]:
    value = " ".join(statement.words).lower()
    decides = option.keyword in {"canonicalizehostname", "canonicalizepermittedcnames"}
    if decides and value not in {"no", "false", "none"}:
        raise ValueError(f"{option.name} {value} is followed by the ssh program alone")
    return [value]


_READERS: dict[Reads, Callable[[Option, Statement], list[str]]] = {
    Reads.WORD: _word,
    Reads.CHOICE: _choice,
    Reads.TIME: _time,
    Reads.PORT: _port,
    Reads.EACH: _word,
    Reads.WORDS: _files,
    Reads.LINE: _line,
    Reads.JUMPS: _jumps,
    Reads.NAMES: _word,
    Reads.BY_SSH: _by_ssh,
}
