"""Pick devices by a small grammar, the same in all commands.

    expression := both ("or" both)*
    both       := factor (("," | "and") factor)*
    factor     := "not" factor | "(" expression ")" | "all" | NAME | KEY "=" VALUE | KEY "!=" VALUE

NAME and VALUE may be globs (`pi-*`, `class=rpi?`) and may be quoted. KEY is a tag, or `name` or `transport`. A device
without the tag KEY is matched by `KEY!=VALUE`. Case matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from orchestrator.domain.device import Device
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import nearest

KEYWORDS = frozenset({"all", "and", "or", "not"})
BUILT_IN_KEYS = ("name", "transport")
_DEPTH_MAX = 50  # a mistake in one line, rather than a RecursionError, for a selector of parentheses alone

# A word of a glob may hold commas and parentheses within brackets: `pi-[a,b]`.
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"[^"]*"|'[^']*')
      | (?P<mark>!=|=|,|\(|\))
      | (?P<word>(?:\[[^\]\s]*\]|[^\s,()=!"'\[])+)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Everything:
    """Match every device."""

    def matches(self, device: Device) -> bool:
        """Return True."""
        return True


@dataclass(frozen=True, slots=True)
class Attribute:
    """Match devices with a name, transport or tag `key` fitting the glob `pattern`."""

    key: str
    pattern: str

    def matches(self, device: Device) -> bool:
        """Return True if the device has the key with a fitting value."""
        value = attributes(device).get(self.key)
        return value is not None and fnmatchcase(value, self.pattern)


@dataclass(frozen=True, slots=True)
class Not:
    """Match the devices not matched by `inner`."""

    inner: Selector

    def matches(self, device: Device) -> bool:
        """Return the opposite of `inner`."""
        return not self.inner.matches(device)


@dataclass(frozen=True, slots=True)
class Both:
    """Match the devices matched by every part."""

    parts: tuple[Selector, ...]

    def matches(self, device: Device) -> bool:
        """Return True if all parts match."""
        return all(part.matches(device) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """Match the devices matched by any part."""

    parts: tuple[Selector, ...]

    def matches(self, device: Device) -> bool:
        """Return True if some part matches."""
        return any(part.matches(device) for part in self.parts)


Selector = Everything | Attribute | Not | Both | Either


def attributes(device: Device) -> Mapping[str, str]:
    """Return the attributes of a device known to selectors: the tags, the name and the transport."""
    return {**device.tags, "name": device.name, "transport": device.transport.value}


def parse_selector(text: str) -> Selector:
    """Return the selector written as `text`. Raise ConfigError with the column of a mistake."""
    return _Parser(text).parse()


def select(text: str, devices: Iterable[Device]) -> tuple[Device, ...]:
    """Return the devices picked by the selector `text`, in the given order.

    Raise ConfigError for a wrong selector, and for a selector without a match.
    """
    selector = parse_selector(text)
    candidates = tuple(devices)
    chosen = tuple(device for device in candidates if selector.matches(device))
    if not chosen:
        raise ConfigError(f"selector {text!r} matches no device", hint=_explain_nothing(selector, candidates))
    return chosen


def _explain_nothing(selector: Selector, devices: tuple[Device, ...]) -> str:
    if not devices:
        return "the inventory has no enabled device"
    # Name the first condition that matches no device at all: most likely a word was mistyped there.
    for leaf in _leaves(selector):
        if not any(leaf.matches(device) for device in devices):
            near = _near(leaf, devices)
            if near:
                return "did you mean " + " or ".join(near) + "?"
    names = [device.name for device in devices]
    more = f", … ({len(names)} in all)" if len(names) > 12 else ""
    return "devices: " + ", ".join(names[:12]) + more


def _near(leaf: Attribute, devices: tuple[Device, ...]) -> tuple[str, ...]:
    known = [attributes(device) for device in devices]
    if leaf.key == "name":
        return nearest(leaf.pattern, {values["name"] for values in known}, count=3)
    if any(leaf.key in values for values in known):
        near = nearest(leaf.pattern, {values[leaf.key] for values in known if leaf.key in values}, count=3)
        return tuple(f"{leaf.key}={value}" for value in near)
    return tuple(f"{key}={leaf.pattern}" for key in nearest(leaf.key, {key for values in known for key in values}))


def _leaves(selector: Selector) -> Iterator[Attribute]:
    if isinstance(selector, Attribute):
        yield selector
    elif isinstance(selector, Not):
        yield from _leaves(selector.inner)
    elif isinstance(selector, Both | Either):
        for part in selector.parts:
            yield from _leaves(part)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text in words

    def is_mark(self, *marks: str) -> bool:
        return self.kind == "mark" and self.text in marks

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._tokenize())
        self._next = 0
        self._depth = 0

    def parse(self) -> Selector:
        if self._peek().kind == "end":
            raise self._mistake(self._peek(), "a selector is empty")
        selector = self._expression()
        if self._peek().kind != "end":
            raise self._mistake(self._peek(), f"expected ',', 'and' or 'or' before {self._peek()}")
        return selector

    def _expression(self) -> Selector:
        parts = [self._both()]
        while self._peek().is_word("or"):
            self._take()
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Selector:
        parts = [self._factor()]
        while self._peek().is_word("and") or self._peek().is_mark(","):
            self._take()
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _factor(self) -> Selector:
        token = self._take()
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise self._mistake(token, f"nested more than {_DEPTH_MAX} deep")
        try:
            if token.is_word("not"):
                return Not(self._factor())
            if token.is_mark("("):
                return self._parenthesis(token)
            return self._atom(token)
        finally:
            self._depth -= 1

    def _parenthesis(self, opening: _Token) -> Selector:
        selector = self._expression()
        if not self._peek().is_mark(")"):
            raise self._mistake(self._peek(), f"expected ')' for the '(' at column {opening.column}")
        self._take()
        return selector

    def _atom(self, token: _Token) -> Selector:
        if not _is_text(token):
            raise self._mistake(token, f"expected a device name or KEY=VALUE, not {token}")
        if not self._peek().is_mark("=", "!="):
            return Everything() if token.is_word("all") else Attribute("name", token.text)
        operator, value = self._take(), self._take()
        if not (_is_text(value) or value.is_word(*KEYWORDS)):
            raise self._mistake(value, f"expected a value after {token.text}{operator.text}, not {value}")
        attribute = Attribute(token.text, value.text)
        return attribute if operator.text == "=" else Not(attribute)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _tokenize(self) -> Iterator[_Token]:
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                wrong = self._text[at]
                raise self._mistake(_Token("wrong", wrong, at + 1), _unexpected(wrong))
            # Quotes make a keyword a plain name: the kind of the token is kept apart from the text.
            kind = found.lastgroup
            text = found[kind]
            yield _Token(kind, text[1:-1] if kind == "quoted" else text, found.start(kind) + 1)
            at = found.end()
        yield _Token("end", "", end + 1)

    def _mistake(self, token: _Token, message: str) -> ConfigError:
        # Every blank becomes a single space, so that the pointer stands below the mistake.
        pointer = " " * (token.column - 1) + "^"
        shown = re.sub(r"\s", " ", self._text)
        return ConfigError(
            f"selector, column {token.column}: {message}", hint=f"in the selector\n  {shown}\n  {pointer}"
        )


def _is_text(token: _Token) -> bool:
    return token.kind == "quoted" or (token.kind == "word" and (token.text not in KEYWORDS or token.text == "all"))


def _unexpected(character: str) -> str:
    if character in "\"'":
        return f"the quote {character} is not closed"
    if character == "[":
        return "the '[' is not closed"
    return f"unexpected {character!r}"
