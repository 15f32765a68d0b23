"""Define the types shared by all kinds of files: names, texts and sizes in bytes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from orchestrator.domain.model import Format
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.quoting import quoted
from orchestrator.specs.schema import Refused

# Names become parts of file names, of selectors and of command lines.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TEXT_CHARACTERS_MAX = 20_000
_SIZE = re.compile(r"([0-9]{1,15})\s*([KMGT])(?:iB)?")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _is_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise Refused(
            f"{quoted(text)} is not a name: letters, digits, '.', '_' and '-', at most 63, first a letter or digit"
        )
    return text


def _is_text(text: str) -> str:
    stripped = text.strip()
    if not stripped or "\0" in stripped:
        raise Refused("must not be empty" if not stripped else "has a NUL character")
    if len(stripped) > _TEXT_CHARACTERS_MAX:
        raise Refused(f"{quoted(stripped)} is longer than {_TEXT_CHARACTERS_MAX} characters")
    return stripped


def _is_format(text: str) -> str:
    formats = [known.value for known in Format]
    if text not in formats:
        raise Refused(f"unknown format {quoted(text)}", did_you_mean(text, formats) or f"one of {', '.join(formats)}")
    return text


def _to_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    size = _SIZE.fullmatch(value.strip())
    if size is None:
        raise Refused(f"{quoted(value)} is not a size", "bytes, or a number with K, M or G: 512M is 512 x 1024 x 1024")
    return int(size[1]) * _UNITS[size[2]]


def _to_share(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    share = _SHARE.fullmatch(value.strip())
    if share is None:
        raise Refused(f"{quoted(value)} is not a share", "per cent such as 95%, or a number from 0 to 1")
    # Divided as decimals: 0.29 * 100 is 28.999999999999996 as a float, and so would be its way back.
    return float(Decimal(share[1]) / 100)


def _to_percent(value: Any) -> Any:
    share = _to_share(value)
    return share if share is value else round(100 * share, 6)


def pattern(expression: str) -> WithJsonSchema:
    """Return what editors know of a text: the whole text matches."""
    return WithJsonSchema({"type": "string", "pattern": f"^(?:{expression})$"})


Name = Annotated[str, AfterValidator(_is_name), pattern(_NAME.pattern)]
FormatName = Annotated[
    str, AfterValidator(_is_format), WithJsonSchema({"type": "string", "enum": [known.value for known in Format]})
]
Text = Annotated[
    str,
    AfterValidator(_is_text),
    WithJsonSchema({"type": "string", "pattern": r"\S", "maxLength": _TEXT_CHARACTERS_MAX}),
]
Bytes = Annotated[
    int,
    BeforeValidator(_to_bytes),
    Field(ge=1),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": rf"^\s*{_SIZE.pattern}\s*$"}]}
    ),
]
Share = Annotated[
    float,
    BeforeValidator(_to_share),
    Field(ge=0, le=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": rf"^\s*{_SHARE.pattern}\s*$"},
            ]
        }
    ),
]
"""A share, such as 95% or 0.95."""
Percent = Annotated[
    float,
    BeforeValidator(_to_percent),
    Field(gt=0, le=100),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
                {"type": "string", "pattern": rf"^\s*{_SHARE.pattern}\s*$"},
            ]
        }
    ),
]
"""A number of per cent, such as 2% or 2."""
