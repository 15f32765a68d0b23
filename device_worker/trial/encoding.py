"""Encode numbers for a model's inputs, and count the numbers that a quantised input cannot hold."""

from __future__ import annotations

from math import isfinite

from device_worker.trial.runtimes.base import TEXT, LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from device_worker.trial.runtimes.base import InputRange, InputSlot

_MOSTLY = 0.5
_MOSTLY_OF_NONZERO = 0.9
"""Images and activations are zeros for the most part: there, what is left of all other numbers decides."""

_REMEDIES = {
    "dataset": "scale x of the data set as the model was trained with, or calibrate the variant with such data",
    "file": "scale the numbers in the file of the input as in training, or calibrate the variant with such numbers",
    "random": "declare low and high of the input in model.yaml within that",
}


def encode_plain(value: Any, slot: InputSlot) -> Any:
    """Return numbers in the dtype of an input without a scale. Numbers for a dtype of whole numbers are rounded.

    Raise LoadFailure for numbers that the dtype cannot hold.
    """
    import numpy

    if slot.dtype == TEXT:
        return numpy.asarray(value, dtype=object)
    dtype = numpy.dtype(slot.dtype)
    if dtype.kind in "iu":
        limits = numpy.iinfo(dtype)
        value = numpy.round(value)
        if value.size and not limits.min <= value.min() <= value.max() <= limits.max:
            found = f"{value.min():g} to {value.max():g}"
            raise LoadFailure(f"input {slot.name!r} is {slot.dtype}, and cannot hold the numbers from {found}")
    return numpy.asarray(value, dtype=dtype, order="C")  # ascontiguousarray makes a row of a single number


class Saturation:
    """Counts the numbers beyond the ranges of quantised inputs. A range of None belongs to an input without a scale.

    Numbers up to a step beyond a range are not counted: so far off is what rounding makes of the range's own ends.
    """

    def __init__(self, ranges: Sequence[InputRange | None]) -> None:
        self._counts = [None if one is None else _Count(one) for one in ranges]

    def add(self, values: Sequence[Any]) -> None:
        """Count the numbers of an array for each input."""
        for count, value in zip(self._counts, values):
            if count is not None:
                count.add(value)

    def to_json(self) -> list[dict[str, Any]]:
        """Return what each quantised input holds, and what it was given, in the form of the trial interface."""
        return [count.to_json() for count in self._counts if count is not None and count.total]

    def refusal(self, source: str) -> str | None:
        """Return why outputs say nothing of the model, or None. So it is where an input is mostly saturated."""
        worst = next((count for count in self._counts if count is not None and count.is_mostly_beyond), None)
        return None if worst is None else f"{worst.describe()}; {_REMEDIES[source]}"


class _Count:
    """The numbers that one input was given."""

    def __init__(self, held: InputRange) -> None:
        self._range = held
        self._beyond = 0
        self._zeros = 0
        self._low: float | None = None
        self._high: float | None = None
        self.total = 0

    def add(self, value: Any) -> None:
        """Count the numbers of an array."""
        import numpy

        numbers = numpy.asarray(value)  # no copy: the memory of a preflight is measured
        held, step = self._range, self._range.scale
        # A NaN is within nothing.
        within = (numbers >= held.low - step) & (numbers <= held.high + step)
        self.total += numbers.size
        self._beyond += int(numbers.size - numpy.count_nonzero(within))
        self._zeros += int(numpy.count_nonzero(within & (numbers == 0)))
        low, high = float(numbers.min()), float(numbers.max())
        if not (isfinite(low) and isfinite(high)):
            finite = numbers[numpy.isfinite(numbers)]
            if not finite.size:
                return
            low, high = float(finite.min()), float(finite.max())
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)

    @property
    def is_mostly_beyond(self) -> bool:
        """Whether so many numbers are clipped that the outputs are another input's."""
        others = self.total - self._zeros
        return self._beyond > 0 and (
            self._beyond >= _MOSTLY * self.total or self._beyond >= _MOSTLY_OF_NONZERO * others
        )

    def describe(self) -> str:
        """Return range and numbers in words."""
        held = self._range
        share = f"{100.0 * self._beyond / self.total:.3g} % of its numbers"
        given = "" if self._low is None else f", which reach from {self._low:g} to {self._high:g}"
        return f"input {held.name!r} ({held.dtype}) holds {held.low:g} to {held.high:g}, and clips {share}{given}"

    def to_json(self) -> dict[str, Any]:
        """Return range and numbers."""
        held = self._range
        return {
            "name": held.name,
            "dtype": held.dtype,
            "low": held.low,
            "high": held.high,
            "scale": held.scale,
            "saturated_ratio": self._beyond / self.total,
            "data_low": self._low,
            "data_high": self._high,
        }
