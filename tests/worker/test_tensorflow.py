"""A real network called in every way of the TensorFlow of this interpreter, and archives of SavedModels."""

import base64
import io
import os
import struct
import tarfile
import zipfile
from importlib.util import find_spec

import pytest

from device_worker.trial.runtimes.base import LoadFailure
from device_worker.trial.runtimes.tensorflow import _unpacked
from worker_client import REPOSITORY, trials_of

MODELS = os.path.join(REPOSITORY, "models", "audio")
FILES = {"keras": "audio.keras", "saved-model": "audio-saved-model.tar", "tflite": "audio-fp32.tflite"}
CALLS = {
    "predict": "keras",
    "predict_on_batch": "keras",
    "model": "keras",
    "function": "keras",
    "xla": "keras",
    "signature": "saved-model",
    "tf.lite": "tflite",
}

with_tensorflow = pytest.mark.skipif(find_spec("tensorflow") is None, reason="this interpreter has no TensorFlow")


@pytest.fixture
def add_job(plans):
    """A function that adds a preflight of the audio model, called in a way."""

    def add(name, call, form, **changes):
        with open(os.path.join(MODELS, FILES[form]), "rb") as file:
            content = file.read()
        fields = {
            "engine": "tflite" if call == "tf.lite" else "tensorflow",
            "module": "tensorflow.lite" if call == "tf.lite" else "tensorflow",
            "settings": {"threads": 1, "call": call},
            "model": plans.add_file(FILES[form], content, "model"),
            "input": {"low": 0.0, "high": 1.0, "shape": [1, 43, 40, 1], "dtype": "float32"},
        }
        fields.update(changes)
        plans.add_job(name, **fields)
        plans.add_trials(name, 0, preflight=True)

    return add


@pytest.fixture
def run(device, plans):
    """A function that runs the plan and returns its finished trials by job."""

    def run_plan():
        plans.plan["limits"]["trial_timeout_s"] = 120.0
        events = device.execute("run-1", plans)
        assert events[-1]["outcome"] == "complete"
        return {event["trial"].rpartition(".")[0]: event for event in trials_of(events)}

    return run_plan


def floats_of(finished):
    data = base64.b64decode(finished["outputs"]["data"])
    return struct.unpack("<" + str(len(data) // 4) + "f", data)


@with_tensorflow
@pytest.mark.timeout(600)
def test_every_call_of_a_network_computes_the_same(add_job, run, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    for call, form in CALLS.items():
        add_job(call.replace(".", "-"), call, form)
    add_job("traced", "function", "saved-model")
    finished = run()
    assert {name: event["failure"] for name, event in finished.items()} == dict.fromkeys(finished)
    wanted = floats_of(finished["predict"])
    assert len(wanted) % 4 == 0
    assert wanted
    for name, event in finished.items():
        assert floats_of(event) == pytest.approx(wanted, abs=1e-5), name
    told = {name: event["runtime"] for name, event in finished.items()}
    assert {name: one["call"] for name, one in told.items() if name not in ("tf-lite", "traced")} == {
        call: call for call in CALLS if call != "tf.lite"
    }
    assert {one["name"] for one in told.values()} == {"tensorflow"}
    assert {one["threads"] for one in told.values()} == {1}
    assert told["predict"]["keras"] is not None
    assert os.listdir(tmp_path / "tmp") == []
    assert told["signature"]["keras"] is None


@with_tensorflow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("call", "form", "words"),
    [
        ("signature", "keras", "is for a SavedModel, and this is a Keras model"),
        ("predict", "saved-model", "is for a Keras model, and this is a SavedModel"),
        ("model", "tflite", "Keras does not load the model"),
        ("fit", "keras", "is one of predict, predict_on_batch"),
    ],
)
def test_a_call_that_the_file_does_not_have_fails_with_the_reason(add_job, run, call, form, words):
    add_job("one", call, form)
    failure = run()["one"]["failure"]
    assert failure["kind"] == "load-error"
    assert words in failure["message"]


@with_tensorflow
@pytest.mark.timeout(300)
def test_a_shape_that_the_network_does_not_take_is_named(add_job, run):
    add_job("one", "function", "keras", input={"low": 0.0, "high": 1.0, "shape": [1, 40, 43, 1], "dtype": "float32"})
    message = run()["one"]["failure"]["message"]
    assert "'spectrogram' is [?, 43, 40, 1] in the file, and model.yaml declares [1, 40, 43, 1]" in message


def packed_tar(path, *names, **links):
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"pb\n"))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return str(path)


@pytest.mark.parametrize("inside", ["", "model/", "a/b/"])
def test_an_archive_is_unpacked_wherever_the_model_lies_in_it(tmp_path, inside):
    path = packed_tar(tmp_path / "m.tar", inside + "saved_model.pb", inside + "variables/variables.index")
    folder = _unpacked(path, str(tmp_path))
    assert sorted(os.listdir(folder)) == ["saved_model.pb", "variables"]
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(inside + "saved_model.pb", "pb")
    assert os.listdir(_unpacked(str(tmp_path / "m.zip"), str(tmp_path))) == ["saved_model.pb"]


@pytest.mark.parametrize("name", ["../saved_model.pb", "/saved_model.pb", "a/../../saved_model.pb"])
def test_no_member_leads_outside(tmp_path, name):
    path = packed_tar(tmp_path / "m.tar", name)
    before = sorted(os.listdir(tmp_path.parent))
    with pytest.raises(LoadFailure, match="no file within"):
        _unpacked(path, str(tmp_path))
    assert sorted(os.listdir(tmp_path.parent)) == before


def test_no_link_is_made(tmp_path):
    with pytest.raises(LoadFailure, match="no file within"):
        _unpacked(packed_tar(tmp_path / "m.tar", leak="/etc/passwd"), str(tmp_path))


def test_an_archive_without_a_model_says_so(tmp_path):
    with pytest.raises(LoadFailure, match=r"holds no saved_model\.pb"):
        _unpacked(packed_tar(tmp_path / "m.tar", "README"), str(tmp_path))


def test_what_is_no_archive_is_a_keras_model(tmp_path):
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert _unpacked(str(tmp_path / "m.h5"), str(tmp_path)) is None
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert _unpacked(str(tmp_path / "m.keras"), str(tmp_path)) is None
