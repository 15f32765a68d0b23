"""Hold a model's result for each input of a data set, for pairing two cells input by input."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.domain.measurement import Cell


class InputEncoding(StrEnum):
    """Name the encodings of results by input.

    `bits`: right or wrong, input 0 in the lowest bit of byte 0. `f4`: a score, little-endian float32.
    """

    BITS = "bits"
    SCORES = "f4"


def input_bytes(encoding: InputEncoding, count: int) -> int:
    """Return the number of bytes of `count` results."""
    return (count + 7) // 8 if encoding is InputEncoding.BITS else 4 * count


@dataclass(frozen=True, slots=True)
class CellInputResults:
    """Hold a job's result of a metric for each of the `count` inputs of a data set."""

    cell: Cell
    metric: str
    dataset_sha256: str
    encoding: InputEncoding
    count: int
    data: bytes
