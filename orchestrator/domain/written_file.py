"""Name a file that a command has written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """Hold a file, complete under its name. `rows` is None for a file without rows."""

    path: Path
    format: str
    size_bytes: int
    rows: int | None = None
