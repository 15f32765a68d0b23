"""Types of the words that every kind of file uses: names, texts, sizes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from orchestrator.specs.schema import Refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SIZE = re.compile(r"([0-9]{1,15})\s*([KMGT])(?:iB)?")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _is_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise Refused(f"{text!r} is not a name: letters, digits, '.', '_' and '-', at most 63, first a letter or digit")
    return text


def _is_text(text: str) -> str:
    stripped = text.strip()
    if not stripped or "\0" in stripped:
        raise Refused("must not be empty" if not stripped else "has a NUL character")
    return stripped


def _to_bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    size = _SIZE.fullmatch(value.strip())
    if size is None:
        raise Refused(f"{value!r} is not a size", "bytes, or a number with K, M or G: 512M is 512 x 1024 x 1024")
    return int(size[1]) * _UNITS[size[2]]


Name = Annotated[str, AfterValidator(_is_name)]
Text = Annotated[str, AfterValidator(_is_text)]
Bytes = Annotated[int, BeforeValidator(_to_bytes), Field(ge=1)]
