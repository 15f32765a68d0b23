"""`run` of model files, up to where devices come in, and `models add`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.unit.cli.conftest import Command
from tests.unit.cli.processes import REPOSITORY

DIGITS = REPOSITORY / "models" / "digits"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setenv("BENCHFLEET_MODELS", str(tmp_path / "models"))
    shutil.copy(DIGITS / "digits-fp32.tflite", tmp_path / "face.tflite")


def test_outside_of_a_lab_this_machine_is_the_device_and_a_lab_without_an_inventory_is_refused(
    command: Command, tmp_path: Path
) -> None:
    listed = command("devices", "list", "--format", "csv")
    assert listed.code == ExitCode.FINE, listed.err
    assert [line.split(",")[0] for line in listed.out.splitlines()[1:]] == ["local"]
    (tmp_path / "benchfleet.toml").touch()
    ended = command("run", "face.tflite", "--save", "sweeps/face.yaml")
    assert ended.code == ExitCode.USAGE
    assert ended.err == (
        "error: inventory: no such inventory file or folder\n"
        "hint: `benchfleet init DIR` writes an inventory; --inventory PATH names yours\n"
    )
    assert not (tmp_path / "sweeps").exists()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep.yaml", "--save", "3.yaml"], "--save is for model files, and sweep.yaml is a sweep"),
        (["face.tflite", "--trials", "0"], "--set trials=0: trials: must be at least 1, not 0"),
        (["face.tflite", "--variants", "a,,b"], "--variants a,,b: expected names, by commas"),
        (["face.tflite", "--threads", "1,x"], "--threads 1,x: expected counts from 1 on, by commas"),
        (["face.tflite", "--runtimes", "litert"], "--set runtimes=[\"litert\"]: runtimes[0]: unknown runtime 'litert'"),
        (
            ["face.tflite", "other.yaml"],
            "other.yaml: only .tflite, .onnx, .keras, .h5, .pt and .pt2 files can be described",
        ),
        (["none.tflite"], "none.tflite: cannot be read: No such file or directory"),
        ([str(DIGITS), str(DIGITS)], "two of the models are called digits"),
    ],
)
def test_what_cannot_run_is_said_in_a_line(command: Command, words: list[str], message: str) -> None:
    ended = command("run", *words, "--inventory", str(REPOSITORY / "inventory" / "local.yaml"))
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith(f"error: {message}\n")


def test_a_sweep_in_the_way_is_left_alone_and_no_model_is_copied(command: Command, tmp_path: Path) -> None:
    (tmp_path / "face.yaml").write_text("mine")
    local = str(REPOSITORY / "inventory" / "local.yaml")
    ended = command("run", "face.tflite", "--save", "face.yaml", "--inventory", local)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("error: face.yaml is there already, with other content\n")
    assert (tmp_path / "face.yaml").read_text() == "mine"
    assert not (tmp_path / "models").exists()


def test_models_add_says_what_it_wrote_and_what_to_do_next(command: Command, tmp_path: Path) -> None:
    ended = command("models", "add", "face.tflite")
    assert ended.code == ExitCode.FINE
    assert f"{tmp_path}/models/face/model.yaml" in ended.out
    assert ended.err == f"now: benchfleet run {tmp_path}/models/face\n"
    assert command("models", "verify").code == ExitCode.FINE


def test_a_folder_elsewhere_is_run_with_leave_to_send_its_files(command: Command, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    shutil.copy(tmp_path / "face.tflite", tmp_path / "build")
    ended = command("models", "add", "build")
    assert ended.err == "now: benchfleet run build --allow-files build\n"


def test_files_of_unlike_names_are_models_of_their_own(command: Command, tmp_path: Path) -> None:
    shutil.copy(DIGITS / "digits-int8.tflite", tmp_path / "face-int8.tflite")
    shutil.copy(DIGITS / "digits-fp32.tflite", tmp_path / "hand.tflite")
    ended = command("models", "add", "face.tflite", "hand.tflite", "face-int8.tflite")
    assert ended.code == ExitCode.FINE
    assert sorted(path.parent.name for path in tmp_path.glob("models/*/model.yaml")) == ["face", "hand"]
    assert "face-int8.tflite" in (tmp_path / "models/face/model.yaml").read_text()


def test_model_files_are_submitted_with_the_sweep_that_is_made_of_them(command: Command) -> None:
    ended = command("submit", "face.tflite", "--threads", "1,2", "--name", "face", "--missing", "--json")
    assert ended.code == ExitCode.FINE, ended.err
    made = json.loads(ended.out)
    assert (made["sweep"], made["name"], made["settings"]) == ("face", "face", {"missing": True})
    kept = command("submit", "face.tflite", "--save", "sweeps/face.yaml")
    assert kept.code == ExitCode.FINE, kept.err
    assert "again: benchfleet submit sweeps/face.yaml\n" in kept.err
    rows = command("sql", "SELECT s.sweep, f.path FROM submission s JOIN submission_file f ON f.submission_id = s.id")
    assert rows.out.count("sweep.yaml") == 2
    assert rows.out.count(".tflite") == 2
    refused = command("submit", "face.yaml", "--save", "other.yaml")
    assert refused.err.startswith("error: --save is for model files, and face.yaml is a sweep\n")
