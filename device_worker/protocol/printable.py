"""Make a program's output safe to show: remove escape sequences and control characters."""

from __future__ import annotations

import re

# Compiled at the first use: most starts show no program's output.
_ESCAPE_SEQUENCES = r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])"
_CONTROL_CHARACTERS = "[\x00-\x08\x0b-\x1f\x7f-\x9f]"


def printable(data: bytes | bytearray) -> str:
    """Return output as text for people. Tabs and newlines stay, and bytes outside UTF-8 are marked."""
    text = bytes(data).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(_CONTROL_CHARACTERS, "\ufffd", re.sub(_ESCAPE_SEQUENCES, "", text))
