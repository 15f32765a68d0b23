"""Keep what a model answered, so that variants and devices can be compared by more than speed."""

from __future__ import annotations

import base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OUTPUTS_MAX = 64
_BYTES_MAX = 65536


class Proof:
    """The outputs of the first inputs, within 64 KiB, and of every input the class with the highest score."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._values_per_output = 0
        self._top1: list[int] = []

    @property
    def count(self) -> int:
        """How many outputs were kept: none, where a single one is too large."""
        return len(self._kept)

    def add(self, outputs: list[Any]) -> None:
        """Take the float32 outputs of the next input; the class is the index of the highest value in the first."""
        import numpy

        self._top1.append(int(outputs[0].argmax()))
        flat = numpy.concatenate([output.reshape(-1) for output in outputs]).astype("<f4")
        self._values_per_output = len(flat)
        if len(self._kept) < min(OUTPUTS_MAX, _BYTES_MAX // max(1, flat.nbytes)):
            self._kept.append(flat.tobytes())

    def top1_accuracy(self, labels: Any) -> float:
        """Return the share of the inputs whose class is their label."""
        return sum(top == int(label) for top, label in zip(self._top1, labels)) / len(self._top1)

    def to_outputs(self) -> dict[str, Any]:
        """Return the kept outputs as the trial interface says them."""
        return {
            "count": self.count,
            "values_per_output": self._values_per_output,
            "dtype": "f4",
            "data": base64.b64encode(b"".join(self._kept)).decode("ascii"),
            "top1": self._top1[: self.count],
        }
