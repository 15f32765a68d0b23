"""Text that came from elsewhere, made harmless for a terminal."""

from __future__ import annotations

import re
import unicodedata

from rich.text import Text

ABSENT = "–"
"""What stands for a value that nobody measured."""

# Beyond rich's own care: C1 controls act like escape sequences, format characters reorder or hide what is shown.
_BLANKS = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")
_HARMFUL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(value: object) -> str:
    """Return `value` as one line without control characters; those are shown as escapes."""
    text = _BLANKS.sub(" ", str(value)).strip()
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def clean_lines(text: str) -> str:
    """Return `text` without control characters; its lines, and how far they are indented, stay."""
    return "\n".join(" " * (len(line) - len(line.lstrip(" "))) + clean(line) for line in text.split("\n"))


def escape_controls(text: str) -> str:
    r"""Write control and format characters of a JSON text as \uXXXX, which means the same; line ends stay."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(character if character == "\n" else _visible(character, json=True) for character in text)


def shown(value: object, style: str = "") -> Text:
    """Return foreign text for a cell or a line, with markup off; None is shown as absent."""
    return Text(ABSENT if value is None else clean(value), style=style)


def _visible(character: str, *, json: bool = False) -> str:
    if unicodedata.category(character) not in _HARMFUL_CATEGORIES:
        return character
    code = ord(character)
    if code > 0xFFFF:
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}" if json else f"\\U{code:08x}"
    return f"\\u{code:04x}" if json or code > 0xFF else f"\\x{code:02x}"
