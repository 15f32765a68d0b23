"""Keep a model's outputs, so that variants and devices can be compared by more than speed."""

from __future__ import annotations

import base64
import struct

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


class Unprovable(Exception):
    """The outputs cannot be kept and compared. The message says why. The model can be timed all the same."""


MEAN_IOU = "mean_iou"
MEAN_ABSOLUTE_ERROR = "mean_absolute_error"
KEPT_OUTPUTS = "outputs"
"""No metric of the device's: outputs of the whole data set are kept, for a metric that the controller computes."""
BEST_CLASSES = {"top1": 1, "top5": 5}
"""How many of the best classes an accuracy metric looks for the label in."""
_SCORED = (MEAN_IOU, MEAN_ABSOLUTE_ERROR)
ACCURACY_METRICS = (*BEST_CLASSES, *_SCORED)


class Proof:
    """The outputs of the first inputs, within 64 KiB, and the best classes of every input.

    `metric` is one of ACCURACY_METRICS, KEPT_OUTPUTS, or None where no accuracy is asked for. Of `mean_iou` a label is
    a map of classes, of `mean_absolute_error` the wanted output.
    """

    def __init__(self, metric: str | None = None) -> None:
        self._metric = metric
        self._best = BEST_CLASSES.get(metric or "", 1)
        self._outputs_max = _BYTES_MAX if metric == KEPT_OUTPUTS else OUTPUTS_MAX
        self._scores: list[float] = []
        self._ranked: list[list[int]] = []
        self._kept: list[bytes] = []
        self._values_per_output: int | None = None
        self._top1: list[int] = []
        self._without_class: set[int] = set()
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
        """Add the float32 outputs of the next input. The class is the index of the highest value in the first output.

        Raise Unprovable for outputs without a value, and where the number of values varies.
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
        if self._metric in _SCORED and label is not None:
            self._scores.append((mean_iou if self._metric == MEAN_IOU else absolute_error)(outputs[0], label))
        self._rank(outputs[0].reshape(-1))
        if self._metric in BEST_CLASSES and label is not None:
            _class_of(label, outputs[0].size)
        if len(self._kept) < min(self._outputs_max, _BYTES_MAX // max(1, flat.nbytes)):
            self._kept.append(flat.tobytes())

    def _rank(self, scores: Any) -> None:
        """Add the best classes of an output. Raise Unprovable where the metric has no classes to choose among."""
        import numpy

        if self._metric in BEST_CLASSES and scores.size <= self._best:
            if scores.size == 1:  # such as the number of the class that the model has chosen by itself
                raise Unprovable(f"{self._metric} of an output of one value: it takes a score for each class")
            raise Unprovable(f"{self._metric} of {scores.size} classes: every label would be among them")
        if numpy.isnan(scores).any():  # to `argmax` a NaN is the highest value
            self._without_class.add(len(self._top1))
        self._top1.append(int(scores.argmax()))
        if self._best > 1:
            # Of equal scores the first counts, as `argmax` has it.
            order = numpy.argsort(-scores, kind="mergesort")[: self._best]
            self._ranked.append([int(index) for index in order])

    def accuracy(self, labels: Any) -> float:
        """Return the share of inputs whose label is among the best classes, or the mean score."""
        if self._metric in _SCORED:
            return sum(self._scores) / len(self._scores)
        return sum(self._right(labels)) / len(self._top1)

    def _right(self, labels: Any) -> list[bool]:
        chosen = [[top] for top in self._top1] if self._best == 1 else self._ranked
        return [
            place not in self._without_class and _class_of(label) in best
            for place, (best, label) in enumerate(zip(chosen, labels))
        ]

    def to_input_results(self, labels: Any) -> dict[str, Any] | None:
        """Return which inputs got their label, a bit for each input. Return None if the bits are too large to keep."""
        if self._metric in _SCORED:
            packed, count, encoding = struct.pack(f"<{len(self._scores)}f", *self._scores), len(self._scores), "f4"
        else:
            right = self._right(labels)
            packed, count, encoding = pack_bits(right), len(right), "bits"
        if len(packed) > _BYTES_MAX:
            return None
        data = base64.b64encode(packed).decode("ascii")
        return {"metric": f"accuracy_{self._metric}", "encoding": encoding, "count": count, "data": data}

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


def _class_of(label: Any, classes: int | None = None) -> int:
    """Return the class that a label is the number of. Raise Unprovable for any other label."""
    value = label if type(label) is int else _whole_number(label)
    if classes is not None and not 0 <= value < classes:
        counted = "; are the labels counted from 1?" if value == classes else ""
        raise Unprovable(f"the label {value} is none of the output's classes, 0 to {classes - 1}{counted}")
    return value


def _whole_number(label: Any) -> int:
    """Return the whole number that a label is, as a row of one number too. Raise Unprovable for any other label."""
    import numpy

    found = numpy.asarray(label)
    if found.size != 1:
        shape = list(found.shape)
        raise Unprovable(f"a label has the shape {shape}: make y of the numbers of classes, as argmax of one-hot rows")
    value = found.reshape(-1)[0].item()  # rows of one label are as good as labels
    if found.dtype.kind not in "fiub" or not float(value).is_integer():
        raise Unprovable(f"the label {str(value)!r} is no number of a class: make y of whole numbers")
    return int(value)


def mean_iou(output: Any, label: Any) -> float:
    """Return the intersection over union of a map of classes, the mean over the classes in either map.

    `output` has the scores of the classes along its last axis. Raise Unprovable for a label of another size.
    """
    import numpy

    if numpy.isnan(output).any():
        raise Unprovable(f"{MEAN_IOU}: the output has NaN, which belongs to no class")
    found = output.argmax(axis=-1).reshape(-1)
    true = numpy.asarray(label).reshape(-1)
    if found.shape != true.shape:
        raise Unprovable(f"{MEAN_IOU}: the output has {found.size} places, and the label {true.size}")
    shares = []
    for one in numpy.union1d(found, true):
        here, there = found == one, true == one
        shares.append(float((here & there).sum()) / float((here | there).sum()))
    return sum(shares) / len(shares)


def absolute_error(output: Any, label: Any) -> float:
    """Return the mean distance of an output's values from the label's. Raise Unprovable for another number of them."""
    import numpy

    found, true = output.reshape(-1).astype("f8"), numpy.asarray(label).reshape(-1).astype("f8")
    if found.shape != true.shape:
        raise Unprovable(f"{MEAN_ABSOLUTE_ERROR}: the output has {found.size} values, and the label {true.size}")
    error = float(numpy.abs(found - true).mean())
    if not numpy.isfinite(error):
        raise Unprovable(f"{MEAN_ABSOLUTE_ERROR}: the output or its label has NaN or an infinity")
    return error


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
