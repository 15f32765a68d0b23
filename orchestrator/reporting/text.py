"""Make foreign text harmless for a terminal."""

from __future__ import annotations

import re
import unicodedata

from rich.text import Text

ABSENT = "–"
"""The sign for a value that was not measured. A zero would be a measurement."""

# Beyond rich's own care: C1 controls act like escape sequences, format characters reorder or hide what is shown.
_BLANKS = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")
_PREFLIGHT = re.compile(r"^its preflight \S+ failed")
_HARMFUL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(value: object) -> str:
    """Return `value` as a line. Control characters are shown as escapes."""
    text = str(value)
    # Nearly all text is harmless, and a table may have thousands of cells. What Python calls printable has no character
    # of the harmful categories, and no blank but the space.
    if text.isprintable():
        return text.strip()
    text = _BLANKS.sub(" ", text).strip()
    return "".join(_visible(character) for character in text)


def short_reason(failure: str | None) -> str:
    """Return the first line of a failure, without the key of a preflight, which says nothing to people."""
    lines = (failure or "").strip().splitlines()
    return clean(_PREFLIGHT.sub("its preflight failed", lines[0])) if lines else ""


def clean_lines(text: str) -> str:
    """Return `text` without control characters. Lines and indentation stay."""
    return "\n".join(" " * (len(line) - len(line.lstrip(" "))) + clean(line) for line in text.split("\n"))


def visible(text: str) -> str:
    """Return `text` with control and format characters shown as escapes. Blanks and lines stay as they are."""
    if text.isprintable():
        return text
    return "".join(char if char == "\n" else " " if char == "\t" else _visible(char) for char in text)


def escape_controls(text: str) -> str:
    r"""Write control and format characters of a JSON text as \uXXXX, with the same meaning. Line ends stay."""
    # json.dumps has escaped the other control characters of ASCII.
    if text.isascii() and "\x7f" not in text:
        return text
    return "\n".join(
        line if line.isprintable() else "".join(_visible(character, json=True) for character in line)
        for line in text.split("\n")
    )


def shown(value: object, style: str = "") -> Text:
    """Return foreign text for a cell or a line, with markup off. None is shown as absent."""
    return Text(ABSENT if value is None else clean(value), style=style)


def _visible(character: str, *, json: bool = False) -> str:
    if unicodedata.category(character) not in _HARMFUL_CATEGORIES:
        return character
    code = ord(character)
    if code > 0xFFFF:  # JSON escapes a code point beyond the first plane as two surrogates
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}" if json else f"\\U{code:08x}"
    return f"\\u{code:04x}" if json or code > 0xFF else f"\\x{code:02x}"
