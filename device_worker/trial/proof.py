"""Keep a model's outputs, so that variants and devices can be compared by more than speed."""

from __future__ import annotations

import base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OUTPUTS_MAX = 64
_BYTES_MAX = 65536


def pack_bits(flags: list[bool]) -> bytes:
    """Return the flags as bits: flag 0 is the lowest bit of byte 0."""
    # By hand, since numpy before 1.17 packs the highest bit first.
    packed = bytearray((len(flags) + 7) // 8)
    for index, flag in enumerate(flags):
        packed[index >> 3] |= flag << (index & 7)
    return bytes(packed)


class Proof:
    """The outputs of the first inputs, within 64 KiB, and the best class of every input."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._values_per_output = 0
        self._top1: list[int] = []

    @property
    def count(self) -> int:
        """The number of kept outputs, 0 if a single output is too large to keep."""
        return len(self._kept)

    def add(self, outputs: list[Any]) -> None:
        """Add the float32 outputs of the next input. The class is the index of the highest value in `outputs[0]`."""
        import numpy

        self._top1.append(int(outputs[0].argmax()))
        flat = numpy.concatenate([output.reshape(-1) for output in outputs]).astype("<f4")
        self._values_per_output = len(flat)
        if len(self._kept) < min(OUTPUTS_MAX, _BYTES_MAX // max(1, flat.nbytes)):
            self._kept.append(flat.tobytes())

    def top1_accuracy(self, labels: Any) -> float:
        """Return the share of inputs with the class equal to the label, from 0 to 1."""
        return sum(top == int(label) for top, label in zip(self._top1, labels)) / len(self._top1)

    def to_input_results(self, labels: Any) -> dict[str, Any] | None:
        """Return which inputs got their label, a bit for each input. Return None if the bits are too large to keep."""
        right = [top == int(label) for top, label in zip(self._top1, labels)]
        packed = pack_bits(right)
        if len(packed) > _BYTES_MAX:
            return None
        data = base64.b64encode(packed).decode("ascii")
        return {"metric": "accuracy_top1", "encoding": "bits", "count": len(right), "data": data}

    def to_outputs(self) -> dict[str, Any]:
        """Return the kept outputs in the form of the trial interface."""
        return {
            "count": self.count,
            "values_per_output": self._values_per_output,
            "dtype": "f4",
            "data": base64.b64encode(b"".join(self._kept)).decode("ascii"),
            "top1": self._top1[: self.count],
        }
