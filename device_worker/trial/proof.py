"""Keep a model's outputs, so that variants and devices can be compared by more than speed."""

from __future__ import annotations

import base64
import struct

from device_worker.trial.accuracy import KEPT_OUTPUTS, METRICS
from device_worker.trial.accuracy.base import BITS, Unprovable

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
    """The outputs of the first inputs, within 64 KiB, and the score of every input.

    `metric` is one of the table of metrics, KEPT_OUTPUTS, or None where no accuracy is asked for.
    """

    def __init__(self, metric: str | None = None) -> None:
        self._metric = METRICS.get(metric or "")
        self._outputs_max = _BYTES_MAX if metric == KEPT_OUTPUTS else OUTPUTS_MAX
        self._scores: list[float] = []
        self._top1: list[int] = []
        self._kept: list[bytes] = []
        self._values_per_output: int | None = None
        self._layout: list[dict[str, Any]] = []

    @property
    def count(self) -> int:
        """The number of kept outputs, 0 if a single output is too large to keep."""
        return len(self._kept)

    @property
    def unkept(self) -> str | None:
        """Why no output is kept, or None."""
        if self._kept or not self._values_per_output:
            return None
        return f"the outputs of one input are {4 * self._values_per_output} bytes, of which {_BYTES_MAX} are kept"

    def add(self, named: list[tuple[str | None, Any]], label: Any = None) -> None:
        """Add the float32 outputs of the next input. The metric judges the first output by the label.

        Raise Unprovable for outputs without a value, where the number of values varies, and for what has no score.
        """
        import numpy

        outputs = [output for _, output in named]
        if not outputs or not all(output.size for output in outputs):
            raise Unprovable("an output is empty")
        self._layout = [{"name": name, "shape": [int(size) for size in output.shape]} for name, output in named]
        flat = numpy.concatenate([output.reshape(-1) for output in outputs]).astype("<f4")
        if self._values_per_output not in (None, len(flat)):
            words = f"{self._values_per_output} for one input, {len(flat)} for another"
            raise Unprovable(f"the number of output values varies: {words}")
        self._values_per_output = len(flat)
        if self._metric is not None:
            self._scores.append(self._metric.score(outputs[0], label))
        if len(self._kept) < min(self._outputs_max, _BYTES_MAX // max(1, flat.nbytes)):
            self._kept.append(flat.tobytes())
            self._top1.append(int(outputs[0].reshape(-1).argmax()))

    def accuracy(self) -> float:
        """Return the mean score: the share of right inputs where a score is right or wrong."""
        return sum(self._scores) / len(self._scores)

    def to_input_results(self) -> dict[str, Any] | None:
        """Return the score of each input in the form of the trial interface, or None if they are too large to keep."""
        assert self._metric is not None
        count, encoding = len(self._scores), self._metric.encoding
        if encoding == BITS:
            packed = pack_bits([score > 0 for score in self._scores])
        else:
            packed = struct.pack(f"<{count}f", *self._scores)
        if len(packed) > _BYTES_MAX:
            return None
        data = base64.b64encode(packed).decode("ascii")
        return {"metric": f"accuracy_{self._metric.name}", "encoding": encoding, "count": count, "data": data}

    def to_outputs(self) -> dict[str, Any]:
        """Return the kept outputs in the form of the trial interface."""
        return {
            "count": self.count,
            "values_per_output": self._values_per_output or 0,
            "dtype": "f4",
            "data": base64.b64encode(b"".join(self._kept)).decode("ascii"),
            "top1": self._top1[: self.count],
            "layout": self._layout,
        }


def without_outputs(reason: str, inputs: str) -> dict[str, Any]:
    """Return the form of the trial interface for outputs that are not kept."""
    return {
        "count": 0,
        "values_per_output": 0,
        "dtype": "f4",
        "data": "",
        "top1": [],
        "reason": reason,
        "inputs": inputs,
    }
