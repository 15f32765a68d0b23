"""Read settings of a sweep's matrix that hold several values in one text, since a cell's settings are plain values."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OPTIONS_MAX = 64
_CHARACTERS_MAX = 4096
_FORM = "write KEY=VALUE, and a comma between two of them"


def parse_options(text: Any) -> dict[str, str]:
    """Return options written as `KEY=VALUE,KEY=VALUE`; {} for None. Raise ValueError for a text of another form."""
    if text is None:
        return {}
    if not isinstance(text, str) or len(text) > _CHARACTERS_MAX or "\0" in text:
        raise ValueError(f"no options; {_FORM}")
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key = key.strip()
        if not key or not equals:
            raise ValueError(f"{part.strip()!r} is no option; {_FORM}")
        if key in found:
            raise ValueError(f"the option {key!r} stands there twice")
        found[key] = value.strip()
    if len(found) > _OPTIONS_MAX:
        raise ValueError(f"{len(found)} options; at most {_OPTIONS_MAX}")
    return found
