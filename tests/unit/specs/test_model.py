from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.resources import shipped
from orchestrator.specs.model import find_models, load_model

TINY = Path(__file__).parents[2] / "contract" / "specs" / "models" / "tiny"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "models" / "tiny"))


def test_a_model_knows_its_files_by_absolute_paths(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)
    model = load_model(Path("tiny"))
    assert (model.name, model.directory, model.task) == ("tiny", str(tiny), "classification")
    assert list(model.variants) == ["fp32", "int8"]
    assert model.variants["int8"].artifacts[0].path == str(tiny / "weights" / "tiny-int8.tflite")
    assert (model.variants["int8"].parent, model.variants["fp32"].parent) == ("fp32", None)
    assert model.variants["fp32"].accuracy == {"top1": 0.5}
    assert model.datasets["tiny-test.npz"].path == str(tiny / "tiny-test.npz")
    assert (model.datasets["tiny-test.npz"].samples, model.input.shape) == (3, (1, 4))
    assert (model.recipe, model.license) == (None, None)


def test_every_changed_or_missing_file_is_told(tiny: Path) -> None:
    (tiny / "tiny-fp32.tflite").write_bytes(b"else")
    (tiny / "tiny-test.npz").unlink()
    with pytest.raises(ConfigError) as caught:
        load_model(tiny)
    lines = caught.value.message.split("\n")
    assert lines[0] == f"{tiny}/model.yaml:7: {tiny}/tiny-test.npz is missing"
    assert f"{tiny}/tiny-fp32.tflite has SHA-256 " in lines[1]
    assert len(lines) == 2
    assert caught.value.hint == f"benchfleet models verify {tiny}"


def test_a_model_can_be_loaded_without_reading_its_files(tiny: Path) -> None:
    (tiny / "tiny-fp32.tflite").unlink()
    assert load_model(tiny, verify=False).name == "tiny"


def test_a_link_out_of_the_folder_is_refused(tiny: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.tflite"
    (tiny / "tiny-fp32.tflite").rename(outside)
    (tiny / "tiny-fp32.tflite").symlink_to(outside)
    with pytest.raises(ConfigError, match=r"model\.yaml:10: 'tiny-fp32\.tflite' leads out of the model's folder"):
        load_model(tiny)


def test_a_name_instead_of_a_folder_names_the_folder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parents[1])
    for read in (find_models, load_model):
        with pytest.raises(ConfigError) as caught:
            read(Path("tiny"))
        assert caught.value.hint == "did you mean models/tiny?"


def test_a_folder_that_is_not_there_names_what_is_near(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="no such model folder") as caught:
        load_model(tiny.parent / "tinny")
    assert caught.value.hint == "did you mean 'tiny'?"


def test_a_folder_without_a_model_says_what_is_missing(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"models/model\.yaml: no such file"):
        load_model(tiny.parent)


def test_models_are_found_by_their_folder_or_the_folder_around(tiny: Path) -> None:
    assert find_models(tiny) == (tiny,)
    assert find_models(tiny.parent) == (tiny,)
    with pytest.raises(ConfigError, match="neither a model's folder nor a folder of them"):
        find_models(tiny / "weights")


@pytest.mark.parametrize("directory", find_models(shipped("models")), ids=lambda path: path.name)
def test_a_shipped_model_is_what_it_claims_to_be(directory: Path) -> None:
    assert load_model(directory).variants["fp32"].parent is None
