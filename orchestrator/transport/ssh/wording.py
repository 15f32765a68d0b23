"""Split the lines of an ssh configuration into words: quotes, escapes, comments and equals signs as ssh takes them."""

from __future__ import annotations

import re

BLANKS = " \t\r\n"

_ENDS_OF_WORDS = re.compile(r'[ \t\r\n"=]')
_ESCAPED = "'\"\\"
_MESSAGE_MAX = 1500


class Unusable(ValueError):
    """Part of an ssh configuration cannot be used. Long values are cut off in the message."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _MESSAGE_MAX else message[:_MESSAGE_MAX] + " …")


def arguments(text: str, *, comments: bool = True) -> list[str]:
    """Return the words of a value, without a comment behind the words. Raise ValueError for a quote without an end."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif comments and text[at] == "#":
            break
        else:
            word, at = _word(text, at)
            found.append(word)
    return found


def cut(text: str | None) -> tuple[str | None, str | None]:
    """Cut the first word off a text. Return the word, None for a quote without an end, and the rest, None for none.

    An equals sign ends a word too. Keywords, and the criteria of `Match`, are read by this rule.
    """
    # Unlike the words of a value: no escapes, no single quotes, and a quote may begin within a word.
    if text is None:
        return None, None
    end = _ENDS_OF_WORDS.search(text)
    if end is None:
        return text, None
    at = end.start()
    if text[at] == '"':
        closing = text.find('"', at + 1)
        if closing < 0:
            return None, None
        return text[:at] + text[at + 1 : closing], text[closing + 1 :].lstrip(BLANKS)
    rest = text[at + 1 :].lstrip(BLANKS)
    if text[at] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(BLANKS)
    return text[:at], rest


def _word(text: str, at: int) -> tuple[str, int]:
    """Return the word that begins at a position, and the position behind the word."""
    letters: list[str] = []
    quote = ""
    while at < len(text):
        letter, following = text[at], text[at + 1 : at + 2]
        if letter == "\\" and following and (following in _ESCAPED or (following == " " and not quote)):
            letters.append(following)
            at += 1
        elif not quote and letter in " \t":
            break
        elif not quote and letter in "'\"":
            quote = letter
        elif letter == quote:
            quote = ""
        else:
            letters.append(letter)
        at += 1
    if quote:
        raise ValueError("a quote has no end")
    return "".join(letters), at
