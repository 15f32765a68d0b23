"""Make what a program wrote safe to show: no escape sequences, no control characters."""

from __future__ import annotations

import re

_ESCAPE_SEQUENCES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(data: bytes | bytearray) -> str:
    """Return text for people; tabs and newlines stay, what is not UTF-8 is marked."""
    text = bytes(data).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL_CHARACTERS.sub("\ufffd", _ESCAPE_SEQUENCES.sub("", text))
