"""Quote foreign text in messages."""

from __future__ import annotations

_SHOWN_CHARACTERS_MAX = 100


def quoted(value: object) -> str:
    """Return a value in quotes, cut off if longer than a person reads: a name in a file may have a megabyte."""
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS_MAX:
        return f"{value[:_SHOWN_CHARACTERS_MAX]!r}… ({len(value)} characters)"
    return repr(value)
