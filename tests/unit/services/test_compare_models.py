"""Each model of a run is compared with itself alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.errors import ConfigError, NothingToCompare
from orchestrator.domain.measurement import CellResult
from orchestrator.domain.run import ExcludedCell
from orchestrator.reporting.tables.runs import comparison_to_try
from orchestrator.services.results.compare import compare
from tests.unit.services.cell_results import FakeResults, result


def of(model: str, cell: CellResult) -> CellResult:
    return replace(cell, cell=replace(cell.cell, model=model))


DIGITS = [result("fp32", 2000.0), result("int8", 1000.0)]
FACE = [of("face", result("float", 500.0)), of("face", result("int8", 1500.0))]
PARENTS = {"fp32": None, "float": None, "int8": None}


class TwoModels(FakeResults):
    def variant_parents(self, run: str) -> dict[tuple[str, str], str | None]:
        return {
            ("digits", "fp32"): None,
            ("digits", "int8"): "fp32",
            ("face", "float"): None,
            ("face", "int8"): "float",
        }


def test_each_model_has_its_own_base() -> None:
    compared = compare(TwoModels([*DIGITS, *FACE]), "r1", "variant", None)
    assert compared.base == "fp32, float"
    (digits, face) = compared.groups
    assert (digits.model, face.model) == ("digits", "face")
    (faster,), (slower,) = digits.rows, face.rows
    assert faster.ratio is not None
    assert slower.ratio is not None
    assert faster.ratio.value == pytest.approx(0.5)
    assert slower.ratio.value == pytest.approx(3.0)
    assert (digits.named_model, face.named_model) == ("digits", "face")


def test_a_model_without_a_common_parent_leaves_the_others_to_be_compared() -> None:
    strangers = [of("hand", result("a", 500.0)), of("hand", result("b", 1500.0))]
    compared = compare(TwoModels([*DIGITS, *strangers]), "r1", "variant", None)
    assert [(group.model, group.base is None) for group in compared.groups] == [("digits", False), ("hand", True)]
    with pytest.raises(ConfigError, match="no common parent among them: give --base"):
        compare(TwoModels(strangers), "r1", "variant", None)


def test_a_named_base_holds_where_a_model_has_it() -> None:
    compared = compare(TwoModels([*DIGITS, *FACE]), "r1", "variant", "fp32")
    by_model = {group.model: [row.ratio for row in group.rows] for group in compared.groups}
    assert by_model["face"] == [None, None]
    assert by_model["digits"] != [None]


def test_models_of_one_variant_each_have_nothing_to_compare() -> None:
    with pytest.raises(NothingToCompare, match="digits has variant fp32; face has variant float"):
        compare(TwoModels([DIGITS[0], FACE[0]]), "r1", "variant", None)


def test_a_cell_that_was_left_out_belongs_to_the_model_in_its_name() -> None:
    left = ExcludedCell("pi-03", "face/fp16 · tflite-runtime==2.14.0 · threads=1", "no runtime")
    compared = compare(TwoModels([*DIGITS, *FACE], excluded=[left]), "r1", "variant", None)
    absent = [(group.model, row.side.at) for group in compared.groups for row in group.rows if row.ratio is None]
    assert absent == [("face", "fp16")]


def test_the_command_to_try_compares_within_a_model() -> None:
    assert comparison_to_try([DIGITS[0], *FACE]) == "benchfleet compare last --by variant --base float"
    assert comparison_to_try([DIGITS[0], FACE[0]]) is None
