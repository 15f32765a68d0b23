"""Compare the outputs of two variants of a model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.output_order import in_order_of
from orchestrator.domain.comparison import Agreement, OutputsAgreement, Tolerance
from orchestrator.domain.measurement import CellOutputs


def agreement(base: CellOutputs | None, other: CellOutputs | None, tolerance: Tolerance) -> OutputsAgreement:
    """Compare the outputs of two preflights, value by value.

    Return UNKNOWN if a side has no outputs, or none for a reason, if inputs or shapes differ, or if outputs cannot be
    matched. Infinities of the same sign agree. NaN agrees with nothing, not even with NaN, because a model with NaN
    outputs is broken.
    """
    if base is None or other is None:
        return OutputsAgreement(Agreement.UNKNOWN)
    for side in (base, other):
        if side.reason is not None:
            return _unknown(f"{side.cell.variant}: {side.reason}")
    if base.inputs != other.inputs:
        return _unknown(f"inputs differ: {base.inputs} and {other.inputs}")
    if base.layout and other.layout and base.count == other.count and len(base.layout) + len(other.layout) > 2:
        return _matched(base, other, tolerance)
    shapes = [(outputs.count, outputs.values_per_output) for outputs in (base, other)]
    if shapes[0] != shapes[1]:
        described = " and ".join(f"{count} x {values}" for count, values in shapes)
        return _unknown(f"outputs have different shapes: {described}")
    base_values, other_values = _values(base), _values(other)
    if base_values is None or other_values is None:
        return _unknown("stored outputs are not what their shape says")
    return _compare(base_values, other_values, tolerance)


def _matched(base: CellOutputs, other: CellOutputs, tolerance: Tolerance) -> OutputsAgreement:
    """Compare outputs of models with several, in whatever order the files have them."""
    base_values, other_values = _values(base), _values(other)
    if base_values is None or other_values is None:
        return _unknown("stored outputs are not what their shape says")

    def agrees(one: NDArray[np.float64], another: NDArray[np.float64]) -> bool:
        return _compare(one, another, tolerance).agreement is Agreement.AGREE

    ordered = in_order_of(base_values, other_values, (base.layout, other.layout), agrees)
    return _unknown(ordered) if isinstance(ordered, str) else _compare(base_values, ordered, tolerance)


def _compare(base: NDArray[np.float64], other: NDArray[np.float64], tolerance: Tolerance) -> OutputsAgreement:
    finite = np.isfinite(base) & np.isfinite(other)
    differences = np.abs(other[finite] - base[finite])
    within = np.zeros(base.shape, dtype=bool)
    within[finite] = differences <= tolerance.absolute + tolerance.relative * np.abs(base[finite])
    # Here `==` is right: infinities of one sign are equal, and NaN is unequal to everything.
    within[~finite] = base[~finite] == other[~finite]
    outside = int(np.count_nonzero(~within))
    return OutputsAgreement(
        Agreement.DIFFER if outside else Agreement.AGREE,
        max_difference=float(differences.max()) if differences.size else None,
        outside_tolerance=outside,
        not_a_number=int(np.count_nonzero(np.isnan(base) | np.isnan(other))),
        inputs=base.shape[0],
        top1_same=_top1_same(base, other),
    )


def _top1_same(base: NDArray[np.float64], other: NDArray[np.float64]) -> int | None:
    if base.shape[1] < 2:
        return None  # with a single value the largest is always the same: no information
    # argmax returns the place of a NaN as if NaN were the largest value.
    sound = ~(np.isnan(base).any(axis=1) | np.isnan(other).any(axis=1))
    return int(np.count_nonzero(sound & (base.argmax(axis=1) == other.argmax(axis=1))))


def _values(outputs: CellOutputs) -> NDArray[np.float64] | None:
    """Return the outputs as an array of shape (inputs, values per output).

    The array is in double precision, because the difference of two float32 values can overflow or round in float32.
    Return None if the bytes do not fit the shape.
    """
    if outputs.count < 1 or outputs.values_per_output < 1:
        return None
    if len(outputs.data) != 4 * outputs.count * outputs.values_per_output:
        return None
    with np.errstate(invalid="ignore"):  # a device may send a signalling NaN, and its conversion warns
        values = np.frombuffer(outputs.data, dtype="<f4").astype(np.float64)
    return values.reshape(outputs.count, outputs.values_per_output)


def _unknown(reason: str) -> OutputsAgreement:
    return OutputsAgreement(Agreement.UNKNOWN, reason=reason)
