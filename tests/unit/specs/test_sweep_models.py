"""`models: [a, b]` in a sweep file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.sweep import SweptModel
from orchestrator.specs.sweep import declared_sweep, load_sweep, parse_sweep
from orchestrator.specs.written import sweep_text

TINY = Path(__file__).parents[2] / "contract" / "specs" / "models" / "tiny"
BOTH = "sweep: s\nmodels: [models/tiny, models/other]\nruntimes: [system/tflite]\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models, the working folder of the test."""
    shutil.copytree(TINY, tmp_path / "models" / "tiny")
    shutil.copytree(TINY, tmp_path / "models" / "other")
    other = tmp_path / "models" / "other" / "model.yaml"
    other.write_text(other.read_text().replace("model: tiny", "model: other"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(lab: Path, text: str) -> Path:
    (lab / "a.yaml").write_text(text)
    return Path("a.yaml")


def refusal(lab: Path, text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_sweep(write(lab, text))
    return f"{refused.value.message} | {refused.value.hint}"


def test_every_variant_of_every_model_is_measured(lab: Path) -> None:
    loaded = load_sweep(write(lab, BOTH))
    variants = tuple(loaded.model.variants)
    assert [model.name for model in loaded.models] == ["tiny", "other"]
    assert loaded.sweep.models == (
        SweptModel("tiny", str(lab / "models/tiny"), variants),
        SweptModel("other", str(lab / "models/other"), variants),
    )


def test_variants_are_of_whichever_model_has_them(lab: Path) -> None:
    other = lab / "models" / "other" / "model.yaml"
    other.write_text(other.read_text().replace("\n  int8:", "\n  tiny8:"))
    loaded = load_sweep(write(lab, BOTH + "variants: [int8, fp32]\n"))
    assert [one.variants for one in loaded.sweep.models] == [("int8", "fp32"), ("fp32",)]
    assert "none of the models has a variant 'int9' | did you mean" in refusal(lab, BOTH + "variants: [int9, fp32]\n")
    assert "model 'other' has none of the `variants`" in refusal(lab, BOTH + "variants: [int8]\n")


def test_a_list_of_one_model_is_that_model(lab: Path) -> None:
    loaded = load_sweep(write(lab, BOTH.replace(", models/other", "")))
    assert (loaded.model.name, loaded.further, loaded.sweep.models) == ("tiny", (), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sweep: s\nruntimes: [system/tflite]\n", "a.yaml:1: missing key 'model'"),
        ("sweep: s\nruntimes: [nonsense]\n", "missing key 'model'"),
        (f"{BOTH}model: models/tiny\n", "a.yaml:2: a sweep has `model` or `models` | keep one of the two"),
        (BOTH.replace("other]", "tiny]"), "are both called 'tiny' | change `model:` in one model.yaml"),
        (BOTH.replace("other]", "mother]"), "a.yaml:2: no model 'models/mother'"),
        (f"{BOTH}matrix: {{model: [1]}}\n", "'model' cannot be a setting"),
        (f"{BOTH}exclude: [{{model: tini}}]\n", "no model fits 'tini' | did you mean 'tiny'?"),
        (f"{BOTH}accuracy: {{dataset: {{tini: x.npz}}}}\n", "no model 'tini' in this sweep | did you mean 'tiny'?"),
        (f"{BOTH}accuracy: {{dataset: {{tiny: x}}}}\n", "model 'tiny' has no dataset 'x'"),
        (
            f"{BOTH}only: [{{model:tiny}}]\n",
            "all of it is a key | write model: tiny",
        ),
        (f"{BOTH}models: []\n".replace("models: [models/tiny, models/other]\n", ""), "models: must not be empty"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(lab: Path, text: str, words: str) -> None:
    assert words in refusal(lab, text)


def test_a_sweep_of_one_model_may_have_a_setting_called_model_as_before(lab: Path) -> None:
    text = "sweep: s\nmodel: models/tiny\nvariants: [fp32]\nmatrix: {model: [1]}\nexclude: [{model: 2}]\n"
    program = "runtimes: [{exec: {name: a, command: [a]}}]\n"
    assert load_sweep(write(lab, text + program)).sweep.matrix == {"model": (1,)}


def test_what_is_written_reads_back(lab: Path) -> None:
    loaded = load_sweep(write(lab, BOTH + "accuracy: {dataset: {tiny: tiny-test.npz}}\n"))
    again = parse_sweep(sweep_text(loaded.sweep, lab), lab / "a.yaml")
    assert (again.sweep.models, again.sweep.accuracy) == (loaded.sweep.models, loaded.sweep.accuracy)


def test_a_recorded_sweep_is_declared_for_the_model_of_a_cell(lab: Path) -> None:
    assert declared_sweep(BOTH, Path("a.yaml"), "/gone/other").model == "/gone/other"


def test_a_sweep_falls_into_one_for_each_model(lab: Path) -> None:
    parts = load_sweep(write(lab, BOTH + "only: [{model: other}]\n")).by_model()
    assert [(one.model.name, one.sweep.models, one.sweep.only) for one in parts] == [("other", (), ())]
