import hashlib
from pathlib import Path

import pytest

from orchestrator.domain.blob import BlobKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Artifact, Dataset, Format, Model, ModelInput, Variant
from orchestrator.domain.model_files import FileCheck, FileState
from orchestrator.services.models.verify import verify_models

ARTIFACT, DATA = b"TFL3 artifact", b"PK samples"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> Model:
    artifact, dataset = tmp_path / "m-fp32.tflite", tmp_path / "m-test.npz"
    artifact.write_bytes(ARTIFACT)
    dataset.write_bytes(DATA)
    return Model(
        name="m",
        directory=str(tmp_path),
        description="a model",
        task="classification",
        input=ModelInput((1, 8), "float32", 0.0, 1.0),
        variants={
            "fp32": Variant("fp32", (Artifact(Format.TFLITE, str(artifact), sha256(ARTIFACT)),), "fp32", "by hand")
        },
        datasets={"m-test.npz": Dataset("m-test.npz", str(dataset), sha256(DATA), 3)},
    )


def test_every_artifact_and_data_set_is_checked_in_order(model: Model, tmp_path: Path) -> None:
    assert verify_models([model]) == (
        FileCheck(
            "m",
            BlobKind.MODEL,
            "fp32",
            str(tmp_path / "m-fp32.tflite"),
            sha256(ARTIFACT),
            sha256(ARTIFACT),
            Format.TFLITE,
        ),
        FileCheck("m", BlobKind.DATASET, "m-test.npz", str(tmp_path / "m-test.npz"), sha256(DATA), sha256(DATA)),
    )


def test_files_that_are_as_declared_are_ok(model: Model) -> None:
    assert [(check.state, check.ok) for check in verify_models([model])] == [(FileState.OK, True)] * 2


def test_a_changed_file_is_told_with_both_hashes(model: Model, tmp_path: Path) -> None:
    (tmp_path / "m-fp32.tflite").write_bytes(b"another")

    check = verify_models([model])[0]

    assert (check.state, check.ok) == (FileState.CHANGED, False)
    assert (check.declared_sha256, check.found_sha256) == (sha256(ARTIFACT), sha256(b"another"))


def test_a_missing_file_is_told_and_the_others_are_checked_all_the_same(model: Model, tmp_path: Path) -> None:
    (tmp_path / "m-fp32.tflite").unlink()

    checks = verify_models([model])

    assert [check.state for check in checks] == [FileState.MISSING, FileState.OK]
    assert checks[0].found_sha256 is None


def test_a_folder_in_place_of_a_file_is_a_missing_file(model: Model, tmp_path: Path) -> None:
    (tmp_path / "m-test.npz").unlink()
    (tmp_path / "m-test.npz").mkdir()

    assert verify_models([model])[1].state is FileState.MISSING


def test_a_file_that_cannot_be_read_is_an_error(model: Model, tmp_path: Path) -> None:
    (tmp_path / "m-test.npz").unlink()
    (tmp_path / "m-test.npz").symlink_to("m-test.npz")

    with pytest.raises(ConfigError, match="cannot be read"):
        verify_models([model])


def test_many_models_give_one_list(model: Model) -> None:
    assert [check.model for check in verify_models([model, model])] == ["m"] * 4
    assert verify_models([]) == ()
