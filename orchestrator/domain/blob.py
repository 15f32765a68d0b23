"""Files that travel to devices, named by what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BlobKind(StrEnum):
    """What a blob is for."""

    MODEL = "model"
    DATASET = "dataset"
    BUNDLE = "bundle"
    FILE = "file"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Blob:
    """A file by content: SHA-256 in hex, size in bytes, and the name that it carries where people see it."""

    sha256: str
    size: int
    kind: BlobKind
    name: str
