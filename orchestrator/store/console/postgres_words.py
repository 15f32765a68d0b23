"""Say in SQLite's words what PostgreSQL has a syntax of its own for: quantiles, and JSON as rows.

One text of a statement then suits both databases. All else of a statement stays as typed.
The program that answers `benchfleet sql` imports the module, which therefore needs the standard library alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

JSON_ROWS = frozenset({"jsonb_each", "jsonb_each_text", "jsonb_array_elements", "jsonb_array_elements_text"})
"""Functions of PostgreSQL that return rows with `value`, the first two with `key`: as SQLite's json_each does."""

QUANTILES = frozenset({"percentile_cont", "percentile_disc", "mode"})
_CONCERNED = re.compile(r"within|jsonb_", re.IGNORECASE)
_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<quoted>'(?:''|[^'])*+'? | "(?:""|[^"])*+"? | `(?:``|[^`])*+`? | \[[^\]]*\]? )
    | (?P<word>\w[\w$]*) | (?P<other>.)
    """,
    re.DOTALL | re.VERBOSE,
)
_ORDERED_BY = ("group", "(", "order", "by")


@dataclass(slots=True)
class _Bracket:
    """Hold where a bracket begins in the text so far, and what it is of."""

    opened: int
    quantile: int | None = None
    """Where the call of the quantile begins whose order the bracket says."""


@dataclass(slots=True)
class _Text:
    """Hold the tokens written so far, and the places of brackets."""

    tokens: list[tuple[str, str]] = field(default_factory=list)
    brackets: list[_Bracket] = field(default_factory=list)
    closed: int | None = None
    """Where the bracket begins that was closed last, if nothing but blanks follows."""


def in_sqlite_words(statement: str) -> str:
    """Return a statement with the words that SQLite understands. A statement without such words returns as it is."""
    if not _CONCERNED.search(statement):
        return statement
    tokens = [(str(found.lastgroup), found[0]) for found in _TOKEN.finditer(statement)]
    text = _Text()
    place = 0
    while place < len(tokens):
        place = _write(text, tokens, place)
    if any(bracket.quantile is not None for bracket in text.brackets):
        return statement  # SQLite tells best what is wrong with an order that never ends
    return "".join(token for _, token in text.tokens)


def _write(text: _Text, tokens: list[tuple[str, str]], place: int) -> int:
    """Write the next token, and return the place after what was read."""
    kind, word = tokens[place]
    if kind == "word" and word.lower() == "within" and (after := _after_order_by(tokens, place)):
        begin = _quantile_before(text)
        if begin is not None:
            text.brackets.append(_Bracket(len(text.tokens), begin))
            text.closed = None
            return after
    if kind == "word" and word.lower() in JSON_ROWS and _next_solid(tokens, place + 1)[1] == "(":
        word = "json_each"
    if word == ")" and kind == "other":
        _close(text)
        return place + 1
    if word == "(" and kind == "other":
        text.brackets.append(_Bracket(len(text.tokens)))
    text.tokens.append((kind, word))
    if kind != "blank":
        text.closed = None
    return place + 1


def _close(text: _Text) -> None:
    bracket = text.brackets.pop() if text.brackets else None
    if bracket is not None and bracket.quantile is not None:
        _write_call(text, bracket.quantile, bracket.opened)
        text.closed = None
        return
    text.tokens.append(("other", ")"))
    text.closed = None if bracket is None else bracket.opened


def _write_call(text: _Text, begin: int, ordered: int) -> None:
    """Replace a quantile and its order by a plain call: NAME(ordered, share, whether the order falls)."""
    by, falls = _direction(text.tokens[ordered:])
    call = text.tokens[begin:ordered]
    opening = next(place for place, token in enumerate(call) if token == ("other", "("))
    closing = max(place for place, token in enumerate(call) if token == ("other", ")"))
    share = call[opening + 1 : closing]
    comma = ("other", ", ")
    between = [comma, *_bare(share)] if any(kind != "blank" for kind, _ in share) else []
    falling = ("other", "1" if falls else "0")
    text.tokens[begin:] = [*call[: opening + 1], *by, *between, comma, falling, ("other", ")")]


def _direction(tokens: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], bool]:
    """Return an order without its direction, and whether the direction is falling."""
    words = _bare(tokens)
    direction = words[-1][1].lower() if words and words[-1][0] == "word" else ""
    if direction in ("asc", "desc"):
        words = _bare(words[:-1])
    return words, direction == "desc"


def _bare(tokens: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return tokens without blanks and comments at both ends: a comment would take what follows with it."""
    solid = [place for place, (kind, _) in enumerate(tokens) if kind != "blank"]
    return tokens[solid[0] : solid[-1] + 1] if solid else []


def _quantile_before(text: _Text) -> int | None:
    """Return where the call begins that was just written, if it is of a quantile."""
    if text.closed is None:
        return None
    place = text.closed - 1
    while place >= 0 and text.tokens[place][0] == "blank":
        place -= 1
    is_quantile = place >= 0 and text.tokens[place][0] == "word" and text.tokens[place][1].lower() in QUANTILES
    return place if is_quantile else None


def _after_order_by(tokens: list[tuple[str, str]], place: int) -> int | None:
    """Return the place after WITHIN GROUP (ORDER BY, or None for other words."""
    place += 1
    for word in _ORDERED_BY:
        found, token = _next_solid(tokens, place)
        if token.lower() != word or tokens[found][0] == "quoted":
            return None
        place = found + 1
    return place


def _next_solid(tokens: list[tuple[str, str]], place: int) -> tuple[int, str]:
    """Return the next token that is not blank, with its place. The token at the end is empty."""
    while place < len(tokens) and tokens[place][0] == "blank":
        place += 1
    return (place, tokens[place][1]) if place < len(tokens) else (place, "")
