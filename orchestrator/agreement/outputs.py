"""Compare the outputs of two variants of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from orchestrator.agreement.argmax import Argmax
from orchestrator.agreement.base import AgreementMetric, NoFigure, NoMeaning, OutputPair, Values
from orchestrator.agreement.cosine import Cosine
from orchestrator.agreement.max_abs import MaxAbs
from orchestrator.agreement.output_order import in_order_of
from orchestrator.agreement.within_tolerance import WithinTolerance, within
from orchestrator.domain.comparison import Agreement, OutputsAgreement, Tolerance
from orchestrator.domain.measurement import CellOutputs, OutputPart

METRICS: tuple[AgreementMetric, ...] = (MaxAbs(), Cosine(), Argmax(), WithinTolerance())
"""The metrics of agreement, a file each."""


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
    if base.inputs == "file" and base.cell.run != other.cell.run:
        return _unknown("inputs are from files, which may have changed between the runs")
    base_values, other_values = _values(base), _values(other)
    has_several = len(base.layout) + len(other.layout) > 2
    if base.layout and other.layout and base.count == other.count and has_several:
        return _matched(base, other, tolerance)
    shapes = [(outputs.count, outputs.values_per_output) for outputs in (base, other)]
    if shapes[0] != shapes[1]:
        described = " and ".join(f"{count} x {values}" for count, values in shapes)
        return _unknown(f"outputs have different shapes: {described}")
    if base_values is None or other_values is None:
        return _unknown("stored outputs are not what their shape says")
    return _compare(base_values, other_values, base.layout, tolerance)


def _matched(base: CellOutputs, other: CellOutputs, tolerance: Tolerance) -> OutputsAgreement:
    """Compare outputs of models with several, in whatever order the files have them."""
    base_values, other_values = _values(base), _values(other)
    if base_values is None or other_values is None:
        return _unknown("stored outputs are not what their shape says")

    def agrees(one: Values, another: Values) -> bool:
        return bool(within(OutputPair(one, another, tolerance)).all())

    ordered = in_order_of(base_values, other_values, (base.layout, other.layout), agrees)
    return _unknown(ordered) if isinstance(ordered, str) else _compare(base_values, ordered, base.layout, tolerance)


def _compare(base: Values, other: Values, layout: Sequence[OutputPart], tolerance: Tolerance) -> OutputsAgreement:
    whole = OutputPair(base, other, tolerance)
    finite = np.isfinite(base) & np.isfinite(other)
    differences = np.abs(other[finite] - base[finite])
    outside = int(np.count_nonzero(~within(whole)))
    figures, absent = _figures(whole, layout)
    return OutputsAgreement(
        Agreement.DIFFER if outside else Agreement.AGREE,
        max_difference=float(differences.max()) if differences.size else None,
        outside_tolerance=outside,
        not_a_number=int(np.count_nonzero(np.isnan(base) | np.isnan(other))),
        inputs=base.shape[0],
        top1_same=_top1_same(base, other),
        figures=figures,
        absent=absent,
    )


def _figures(whole: OutputPair, layout: Sequence[OutputPart]) -> tuple[Mapping[str, float], Mapping[str, str]]:
    """Return each metric's value, of several outputs the worst, and the reasons of those without a value."""
    pairs = list(_outputs_of(whole, layout))
    figures: dict[str, float] = {}
    absent: dict[str, str] = {}
    for metric in METRICS:
        try:
            figures[metric.name] = _worst(metric, pairs)
        except (NoFigure, NoMeaning) as why:
            absent[metric.name] = str(why)
    return figures, absent


def _worst(metric: AgreementMetric, pairs: Sequence[OutputPair]) -> float:
    """Return the worst value of several outputs. Raise NoFigure, or NoMeaning where no output has a value."""
    found: list[float] = []
    meaningless: NoMeaning | None = None
    for pair in pairs:
        try:
            found.append(metric.of(pair))
        except NoMeaning as why:
            meaningless = why
    if meaningless is not None and not found:
        raise meaningless
    return reduce(metric.worst, found)


def _outputs_of(whole: OutputPair, layout: Sequence[OutputPart]) -> Iterator[OutputPair]:
    """Yield the outputs apart, each in its shape; all as one where the shapes are unknown."""
    if not layout:
        yield whole
        return
    begin = 0
    for part in layout:
        end = begin + math.prod(part.shape)
        shape = (len(whole.base), *part.shape)
        yield replace(
            whole, base=whole.base[:, begin:end].reshape(shape), other=whole.other[:, begin:end].reshape(shape)
        )
        begin = end


def _top1_same(base: Values, other: Values) -> int | None:
    if base.shape[1] < 2:
        return None  # with a single value the largest is always the same: no information
    # argmax returns the place of a NaN as if NaN were the largest value.
    sound = ~(np.isnan(base).any(axis=1) | np.isnan(other).any(axis=1))
    return int(np.count_nonzero(sound & (base.argmax(axis=1) == other.argmax(axis=1))))


def _values(outputs: CellOutputs) -> Values | None:
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
