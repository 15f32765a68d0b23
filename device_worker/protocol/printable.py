"""Make text for people: output that is safe to show, and numbers of bytes."""

from __future__ import annotations

import re

# Compiled at the first use: most starts show no program's output.
_ESCAPE_SEQUENCES = r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])"
_CONTROL_CHARACTERS = "[\x00-\x08\x0b-\x1f\x7f-\x9f]"


def printable(data: bytes | bytearray) -> str:
    """Return output as text for people. Tabs and newlines stay, and bytes outside UTF-8 are marked."""
    text = bytes(data).decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(_CONTROL_CHARACTERS, "\ufffd", re.sub(_ESCAPE_SEQUENCES, "", text))


def byte_count_text(size: float) -> str:
    """Return a number of bytes as text for people, in B, kB or MB. A small amount never reads "0.0 MB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB" if size >= 1e3 else f"{size:.0f} B"
