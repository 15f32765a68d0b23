from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agreement.outputs import agreement
from orchestrator.domain.comparison import Agreement, Tolerance
from orchestrator.domain.measurement import Cell, CellOutputs

TOLERANCE = Tolerance(absolute=1e-3, relative=1e-2)


def outputs(*rows: Sequence[float], inputs: str = "dataset") -> CellOutputs:
    values = [value for row in rows for value in row]
    cell = Cell("run", "pi-03", "digits", "fp32", "tflite-runtime==2.14.0", {})
    return CellOutputs(cell, len(rows), len(rows[0]), struct.pack(f"<{len(values)}f", *values), inputs)


def test_equal_outputs_agree_exactly() -> None:
    found = agreement(outputs((0.1, 0.9), (0.8, 0.2)), outputs((0.1, 0.9), (0.8, 0.2)), TOLERANCE)

    assert found.agreement is Agreement.AGREE
    assert (found.max_difference, found.outside_tolerance, found.top1_same, found.inputs) == (0.0, 0, 2, 2)


def test_the_tolerance_has_an_absolute_and_a_relative_part_of_the_base() -> None:
    base = outputs((0.0, 100.0))

    assert agreement(base, outputs((0.0009, 101.0)), TOLERANCE).agreement is Agreement.AGREE
    assert agreement(base, outputs((0.0011, 100.0)), TOLERANCE).outside_tolerance == 1
    assert agreement(base, outputs((0.0, 101.01)), TOLERANCE).agreement is Agreement.DIFFER


def test_a_quantised_model_may_differ_and_still_choose_the_same() -> None:
    found = agreement(outputs((0.143, 0.857)), outputs((0.100, 0.900)), TOLERANCE)

    assert found.agreement is Agreement.DIFFER
    assert found.max_difference == pytest.approx(0.043, abs=1e-6)
    assert (found.top1_same, found.inputs) == (1, 1)


def test_another_choice_is_counted() -> None:
    assert agreement(outputs((0.4, 0.6), (0.9, 0.1)), outputs((0.6, 0.4), (0.9, 0.1)), TOLERANCE).top1_same == 1


def test_a_single_output_value_has_no_top1() -> None:
    assert agreement(outputs((0.5,), (0.7,)), outputs((0.5,), (0.7,)), TOLERANCE).top1_same is None


def test_nan_never_agrees_not_even_with_itself() -> None:
    broken = outputs((math.nan, 0.5), (0.2, 0.8))
    found = agreement(broken, broken, TOLERANCE)

    assert found.agreement is Agreement.DIFFER
    assert (found.not_a_number, found.outside_tolerance, found.top1_same) == (1, 1, 1)
    assert found.max_difference == 0.0


def test_only_nan_leaves_no_difference_to_name() -> None:
    found = agreement(outputs((math.nan,)), outputs((0.5,)), TOLERANCE)

    assert (found.agreement, found.max_difference) == (Agreement.DIFFER, None)


def test_infinities_agree_with_their_own_sign() -> None:
    base = outputs((-math.inf, 0.5))

    assert agreement(base, base, TOLERANCE).agreement is Agreement.AGREE
    assert agreement(base, outputs((math.inf, 0.5)), TOLERANCE).agreement is Agreement.DIFFER
    assert agreement(base, outputs((0.0, 0.5)), TOLERANCE).agreement is Agreement.DIFFER


def test_the_largest_float32_values_do_not_overflow() -> None:
    found = agreement(outputs((3.4e38,)), outputs((-3.4e38,)), TOLERANCE)

    assert found.max_difference == pytest.approx(6.8e38)


def test_missing_outputs_are_unknown_without_further_reason() -> None:
    found = agreement(None, outputs((0.5,)), TOLERANCE)

    assert (found.agreement, found.reason) == (Agreement.UNKNOWN, None)
    assert agreement(outputs((0.5,)), None, TOLERANCE).agreement is Agreement.UNKNOWN


def test_other_inputs_or_shapes_cannot_be_compared() -> None:
    random = agreement(outputs((0.5,)), outputs((0.5,), inputs="random"), TOLERANCE)
    shape = agreement(outputs((0.5, 0.5)), outputs((0.5,), (0.5,)), TOLERANCE)

    assert (random.agreement, random.reason) == (Agreement.UNKNOWN, "inputs differ: dataset and random")
    mine, same = outputs((0.5,), inputs="file"), outputs((0.5,), inputs="file")
    assert agreement(mine, same, TOLERANCE).agreement is Agreement.AGREE
    other = replace(same, cell=replace(same.cell, run="another"))
    assert "may have changed between the runs" in (agreement(mine, other, TOLERANCE).reason or "")
    assert (shape.agreement, shape.reason) == (Agreement.UNKNOWN, "outputs have different shapes: 1 x 2 and 2 x 1")


def test_bytes_that_do_not_fit_their_shape_are_unknown() -> None:
    cut = CellOutputs(outputs((0.5,)).cell, 2, 1, b"\0" * 7, "dataset")
    empty = CellOutputs(outputs((0.5,)).cell, 0, 1, b"", "dataset")

    assert agreement(cut, cut, TOLERANCE).agreement is Agreement.UNKNOWN
    assert agreement(empty, empty, TOLERANCE).reason == "stored outputs are not what their shape says"


@given(st.binary(min_size=24, max_size=24), st.binary(min_size=24, max_size=24))
def test_any_bytes_are_judged_without_a_warning(base: bytes, other: bytes) -> None:
    cell = outputs((0.5,)).cell
    found = agreement(CellOutputs(cell, 2, 3, base, "random"), CellOutputs(cell, 2, 3, other, "random"), TOLERANCE)

    assert found.agreement in (Agreement.AGREE, Agreement.DIFFER)
    assert (found.agreement is Agreement.AGREE) == (found.outside_tolerance == 0)
