"""The sweep of a step: two cells that differ in the candidate alone, in files that anybody can run again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.blobs.cache import BlobCache
from orchestrator.domain.bisection import Replaces
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.plan.document import ShippedFile, ShippedInput, ShippedJob
from orchestrator.domain.series import Series
from orchestrator.services.bisect.candidates import read_candidates
from orchestrator.services.bisect.sides import CellUnderTest, Sides, StepFolder
from orchestrator.specs.runtime import parse_runtime
from orchestrator.specs.sweep import SweepFile, load_sweep
from tests.unit.cli.processes import REPOSITORY

LABEL = "tflite-runtime==2.14.0"
SERIES = Series(7, "pi-03", "digits", "int8", LABEL, {"threads": 2})


def shipped(path: str) -> ShippedFile:
    content = Path(path).read_bytes()
    return ShippedFile(Path(path).name, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def cell() -> CellUnderTest:
    file = load_sweep(REPOSITORY / "sweeps" / "digits-variants.yaml")
    runtime = parse_runtime(LABEL)
    variant = file.model.variants["int8"]
    (artifact,) = [one for one in variant.artifacts if one.path.endswith(".tflite")]
    job = ShippedJob(
        key="k",
        label="l",
        variant="int8",
        runtime=LABEL,
        engine="tflite",
        module=None,
        settings={"threads": 2},
        bundles=(),
        command=None,
        model=shipped(artifact.path),
        files=(),
        input=ShippedInput(0.0, 1.0),
        dataset=None,
        accuracy_metric=None,
    )
    return CellUnderTest(SERIES, file.sweep, file.model, variant, artifact, runtime, job)


def written(folder: Path, cell: CellUnderTest, text: str, replaces: Replaces | None = None) -> list[Sides]:
    """Write the step of each candidate but the first, beside the first."""
    file = folder / "list.txt"
    file.write_text(text)
    found = read_candidates(file, cell.runtime, replaces)
    steps = StepFolder(folder, BlobCache(folder / "cache"), cell, found.replaces)
    return [steps.sides(found.candidates[0], other) for other in found.candidates[1:]]


def loaded(sides: Sides) -> SweepFile:
    file = load_sweep(sides.path)
    assert (file.sweep.name, file.sweep.trials, file.sweep.accuracy) == (sides.sweep, 5, None)
    assert file.sweep.matrix == {"threads": (2,)}
    assert file.model.name == "digits-bisect"
    return file


def test_versions_are_two_runtimes_of_one_variant(tmp_path: Path, cell: CellUnderTest) -> None:
    (sides,) = written(tmp_path, cell, "2.13.0\n2.14.0\n")
    file = loaded(sides)
    assert (sides.good, sides.other) == (("int8", "tflite-runtime==2.13.0"), ("int8", LABEL))
    assert [runtime.label for runtime in file.sweep.runtimes] == ["tflite-runtime==2.13.0", LABEL]
    assert file.model.variants["int8"].artifacts[0].sha256 == cell.job.model.sha256


def test_files_are_two_variants_on_one_runtime(tmp_path: Path, cell: CellUnderTest) -> None:
    for name, text in {"a": "first", "b": "second", "c": "first"}.items():
        (tmp_path / f"{name}.tflite").write_text(text)
    (sides, again) = written(tmp_path, cell, "a.tflite\nb.tflite\nb.tflite\n")
    assert sides == again, "the same question is the same step"
    file = loaded(sides)
    assert (sides.good, sides.other) == (("int8-good", LABEL), ("int8-candidate", LABEL))
    artifacts = {name: variant.artifacts[0].path for name, variant in file.model.variants.items()}
    assert {name: Path(path).read_text() for name, path in artifacts.items()} == {
        "int8-good": "first",
        "int8-candidate": "second",
    }


def test_another_cell_or_another_candidate_is_another_step(tmp_path: Path, cell: CellUnderTest) -> None:
    elsewhere = replace(cell, series=replace(SERIES, device="nano-01"))
    (first, second) = written(tmp_path, cell, "2.11.0\n2.13.0\n2.14.0\n")
    (other,) = written(tmp_path, elsewhere, "2.11.0\n2.13.0\n")
    assert len({first.sweep, second.sweep, other.sweep}) == 3


def test_what_was_measured_and_is_gone_is_said(tmp_path: Path, cell: CellUnderTest) -> None:
    lost = replace(cell, job=replace(cell.job, model=replace(cell.job.model, sha256="f" * 64)))
    with pytest.raises(ConfigError, match="is not what the regression was measured with"):
        written(tmp_path, lost, "2.13.0\n2.14.0\n")
