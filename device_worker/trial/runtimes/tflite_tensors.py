"""Read and write the tensors of a TensorFlow Lite interpreter, from what the interpreter tells of them."""

from __future__ import annotations

from device_worker.trial.runtimes.base import TEXT, InputRange, LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def dtype_name(detail: dict[str, Any]) -> str:
    """Return the name of a tensor's dtype."""
    import numpy

    dtype = numpy.dtype(detail["dtype"])
    return TEXT if dtype.kind in "SO" else str(dtype.name)


def range_of(detail: dict[str, Any]) -> InputRange | None:
    """Return what a quantised input holds, or None for any other input."""
    import numpy

    dtype = numpy.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if dtype.kind not in "iu" or not scale:
        return None
    limits = numpy.iinfo(dtype)
    low, high = ((limit - int(zero_point)) * float(scale) for limit in (int(limits.min), int(limits.max)))
    return InputRange(detail["name"], str(dtype.name), low, high, float(scale))


def quantise(value: Any, detail: dict[str, Any]) -> Any:
    """Return values in a tensor's dtype. A quantised tensor clips what is beyond its range. Raise LoadFailure."""
    import numpy

    dtype = numpy.dtype(detail["dtype"])
    if dtype.kind in "SO":
        return numpy.asarray([text.encode() for text in numpy.ravel(value)], dtype=object).reshape(numpy.shape(value))
    if dtype.kind not in "fiub":
        raise LoadFailure(
            f"input {detail['name']!r} is of dtype {dtype.name}, which this worker cannot feed; convert the model to "
            "another type of input, or measure it by a program of yours (docs/exec.md)"
        )
    scale, zero_point = detail["quantization"]
    if dtype.kind in "iu" and scale:
        limits = numpy.iinfo(dtype)
        value = numpy.clip(numpy.round(numpy.asarray(value) / scale) + zero_point, limits.min, limits.max)
    return numpy.asarray(value, dtype=dtype, order="C")  # ascontiguousarray makes a row of a single number


def dequantise(value: Any, detail: dict[str, Any]) -> Any:
    """Return a tensor's values as float32. Whatever is no real number stays as it is."""
    import numpy

    if value.dtype.kind not in "fiub":
        return value
    scale, zero_point = detail["quantization"]
    plain = value.astype(numpy.float32)
    return (plain - numpy.float32(zero_point)) * numpy.float32(scale) if value.dtype.kind in "iu" and scale else plain
