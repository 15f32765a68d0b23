from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from orchestrator.agreement.outputs import agreement
from orchestrator.domain.comparison import Agreement, OutputsAgreement, Tolerance
from orchestrator.domain.measurement import Cell, CellOutputs, OutputPart

BOXES, SCORES, MORE = (1, 2, 4), (1, 2), (1, 2)
VALUES = {"boxes": np.arange(8.0), "scores": np.array([0.25, 0.75]), "more": np.array([5.0, 6.0])}
SHAPES = {"boxes": BOXES, "scores": SCORES, "more": MORE}


def outputs(order: Sequence[str], names: Sequence[str | None], shift: float = 0.0) -> CellOutputs:
    """Return outputs of the values of `order`, under names of the file, for two inputs."""
    row = np.concatenate([VALUES[one] for one in order]) + shift
    data = struct.pack(f"<{2 * len(row)}f", *row, *(row + 1))
    layout = tuple(OutputPart(name, SHAPES[one]) for name, one in zip(names, order, strict=True))
    return CellOutputs(Cell("run", "pi", "m", "v", "r", {}), 2, len(row), data, "random", None, layout)


def compared(base: CellOutputs, other: CellOutputs) -> OutputsAgreement:
    return agreement(base, other, Tolerance(1e-3, 1e-3))


def test_outputs_of_one_shape_are_matched_by_name_in_any_order() -> None:
    base = outputs(["scores", "more"], ["scores", "more"])
    assert compared(base, outputs(["more", "scores"], ["more", "scores"])).agreement is Agreement.AGREE
    # By name alone: a variant that computes something else differs, and is not matched by what it happens to be near.
    wrong = compared(base, outputs(["more", "scores"], ["scores", "more"]))
    assert wrong.agreement is Agreement.DIFFER


def test_outputs_of_several_shapes_are_matched_by_shape_where_names_are_positions() -> None:
    base = outputs(["boxes", "scores"], ["StatefulPartitionedCall:0", "StatefulPartitionedCall:1"])
    other = outputs(["scores", "boxes"], ["StatefulPartitionedCall:0", "StatefulPartitionedCall:1"])
    assert compared(base, other).agreement is Agreement.AGREE


def test_outputs_of_one_shape_without_names_are_matched_by_content() -> None:
    base = outputs(["scores", "more"], ["Identity", "Identity_1"])
    found = compared(base, outputs(["more", "scores"], ["Identity", "Identity_1"], shift=1e-4))
    assert (found.agreement, found.outside_tolerance) == (Agreement.AGREE, 0)


def test_what_cannot_be_told_apart_is_said_and_not_compared() -> None:
    base = outputs(["scores", "more"], [None, None])
    found = compared(base, outputs(["more", "scores"], [None, None], shift=3.0))
    assert found.agreement is Agreement.UNKNOWN
    assert found.reason == "2 outputs of shape 1x2 cannot be told apart: name one by output in model.yaml"


def test_other_shapes_are_no_match() -> None:
    found = compared(outputs(["boxes", "scores"], ["a", "b"]), outputs(["scores", "more"], ["a", "b"]))
    assert found.agreement is Agreement.UNKNOWN
    assert found.reason == "outputs have different shapes: [1, 2, 4], [1, 2] and [1, 2], [1, 2]"


def test_a_reason_of_the_device_is_the_reason_against_the_comparison() -> None:
    kept = outputs(["scores"], ["s"])
    without = CellOutputs(kept.cell, 0, 0, b"", "random", "output 'y' is of strings, not of real numbers")
    assert compared(kept, without).reason == "v: output 'y' is of strings, not of real numbers"
