"""Define blobs: files sent to devices and named by content."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BlobKind(StrEnum):
    """Name the use of a blob."""

    MODEL = "model"
    DATASET = "dataset"
    INPUT = "input"
    BUNDLE = "bundle"
    FILE = "file"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Blob:
    """Describe a file by content: SHA-256 in hex, size in bytes, and a name for people."""

    sha256: str
    size: int
    kind: BlobKind
    name: str
