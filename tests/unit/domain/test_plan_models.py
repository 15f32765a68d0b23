"""A sweep of several models: a grid of each, in one plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.expansion import coordinates_of, model_in, names_cell, rule_for
from orchestrator.domain.plan.admit import files_needed
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.document import planned_jobs
from orchestrator.domain.sweep import Accuracy, Sweep, SweptModel
from tests.unit.domain.planning import MODEL, OLD, SWEEP, inputs

FACE = replace(
    MODEL,
    name="face",
    directory="/models/face",
    variants={"fp32": MODEL.variants["fp32"]},
    datasets={},
)
BOTH = replace(
    SWEEP,
    runtimes=(OLD,),
    matrix={"threads": (1,)},
    accuracy=Accuracy({"digits": "test.npz"}),
    models=(SweptModel("digits", "/models/digits", ("fp32", "int8")), SweptModel("face", "/models/face", ("fp32",))),
)


def labels(sweep: Sweep) -> list[str]:
    return [job.label for job in plan_device(inputs(sweep, further=(FACE,))).jobs]


def test_each_model_has_cells_of_its_own_named_with_the_model() -> None:
    assert labels(BOTH) == [
        "digits/fp32 · tflite-runtime==2.14.0 · threads=1",
        "digits/int8 · tflite-runtime==2.14.0 · threads=1",
        "face/fp32 · tflite-runtime==2.14.0 · threads=1",
    ]


def test_a_cell_keeps_its_key_whether_its_model_is_alone_or_not() -> None:
    # Histories hang on the key.
    alone = {job.key for job in plan_device(inputs(replace(BOTH, models=(), accuracy=None))).jobs}
    together = {job.key for job in plan_device(inputs(BOTH, further=(FACE,))).jobs}
    assert alone < together


def test_only_a_named_model_is_judged_by_its_data_set() -> None:
    jobs = planned_jobs(plan_device(inputs(BOTH, further=(FACE,))).document)
    assert [(job.swept_model, job.dataset is not None, job.accuracy_metric) for job in jobs] == [
        ("digits", True, "top1"),
        ("digits", True, "top1"),
        ("face", False, None),
    ]
    kinds = [*files_needed(BOTH, MODEL, FACE).values()]
    assert kinds.count(BlobKind.DATASET) == 1


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"model": "face"}, ["digits/fp32", "digits/int8"]),
        ({"model": "d*", "variant": "fp32"}, ["digits/int8", "face/fp32"]),
        ({"variant": "fp32"}, ["digits/int8"]),
    ],
)
def test_rules_may_name_the_model(rule: dict[str, str], left: list[str]) -> None:
    assert [label.split(" · ")[0] for label in labels(replace(BOTH, exclude=(rule,)))] == left


def test_a_rule_for_a_cell_names_the_cell_of_that_model_alone() -> None:
    first, _, other = labels(BOTH)
    rule = dict(part.split("=", 1) for part in rule_for("pi-03", first).split(","))
    assert rule["model"] == "digits"
    assert names_cell([rule], "pi-03", first)
    assert not names_cell([rule], "pi-03", other)
    assert (model_in(first), coordinates_of(first)[0]) == ("digits", "fp32")
    assert (model_in("fp32 · exec/a"), coordinates_of("fp32 · exec/a")[0]) == (None, "fp32")


def test_the_part_of_a_model_is_a_sweep_of_one() -> None:
    swept = replace(BOTH, exclude=({"model": "digits", "variant": "int8"},), allow_failures=({"model": "face"},))
    part = swept.of_model("digits")
    assert part is not None
    assert (part.model, part.models, part.variants) == ("/models/digits", (), ("fp32", "int8"))
    assert (part.exclude, part.allow_failures) == (({"variant": "int8"},), ())
    assert part.accuracy == Accuracy("test.npz")
    face = swept.of_model("face")
    assert face is not None
    assert (face.exclude, face.allow_failures, face.accuracy) == ((), ({"variant": "*"},), None)


def test_a_model_of_which_nothing_is_left_has_no_part() -> None:
    assert replace(BOTH, exclude=({"model": "face"},)).of_model("face") is None
    assert replace(BOTH, only=({"model": "digits"},)).of_model("face") is None
    kept = replace(BOTH, only=({"model": "digits"}, {"variant": "int8"})).of_model("digits")
    assert kept is not None
    assert kept.only == ()
