"""A real network in a real ncnn, shipped as a bundle; skipped where no package index can be reached."""

import base64
import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import pytest

from bundles import pack_bundle, read_model
from worker_client import trials_of

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.version_info < (3, 8), reason="this ncnn has no wheel for this Python"),
]

# What pnnx 20261020 makes of digits-fp32.onnx (inputshape=[1,8,8,1] fp16=0). It is no artifact of the model: pnnx wants
# PyTorch, so that the model's recipe does not make it.
ARCHIVE = Path(__file__).with_name("digits-fp32-ncnn.zip")
INPUT = {"low": 0.0, "high": 1.0, "shape": [1, 8, 8, 1], "dtype": "float32"}


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A zip of the runtime and what it imports."""
    return pack_bundle(tmp_path_factory.mktemp("ncnn"), ["ncnn==1.0.20261020"])


@pytest.fixture
def add_job(plans, bundle):
    """A function that adds a job of the digits model; changes replace what a good job has."""
    packages = plans.add_blob(bundle, "bundle")

    def add(name, content=None, trials=0, **changes):
        fields = {
            "engine": "ncnn",
            "module": "ncnn",
            "settings": {"threads": 1},
            "python_path": [packages],
            "model": plans.add_file(ARCHIVE.name, content or ARCHIVE.read_bytes(), "model"),
            "input": INPUT,
            "dataset": plans.add_file("digits-test.npz", read_model("digits-test.npz"), "dataset"),
            "accuracy_metric": "top1",
        }
        fields.update(changes)
        plans.add_job(name, **fields)
        return plans.add_trials(name, trials, preflight=True)

    return add


def archive_of(**files):
    """Return a zip archive of files by name, with `_` for a dot."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return packed.getvalue()


def test_a_network_is_proved_and_measured_and_what_ncnn_does_not_read_is_told(device, plans, add_job):
    """One run, since a bundle of this size takes long to unpack."""
    plans.plan["measure"].update(warmup_runs_min=5, runs_min=50, seconds_min=0.05)
    plans.plan["limits"]["trial_timeout_s"] = 120.0
    plans.plan["trials"] = []
    add_job("good", trials=1)
    undeclared = {"low": 0.0, "high": 1.0}
    plain = {"dataset": None, "accuracy_metric": None}
    add_job("shapeless", input=undeclared, **plain)
    add_job("many", input=dict(INPUT, shape=[8, 8, 8, 1]), **plain)
    add_job("no-zip", b"7767517\n", **plain)
    add_job("half", archive_of(m_bin=b""))
    add_job("nonsense", archive_of(m_bin=b"", m_param=b"no network\n"))
    add_job("setting", settings={"batch": 2})
    events = device.execute("run-1", plans)
    assert events[-1]["outcome"] == "complete"
    finished = {event["trial"]: event for event in trials_of(events)}
    assert [finished[name]["failure"] for name in ("good.0", "good.1")] == [None, None]
    metrics = {metric["name"]: metric for metric in finished["good.0"]["metrics"]}
    assert metrics["accuracy_top1"]["value"] == pytest.approx(0.9833, abs=1e-4)
    data = base64.b64decode(finished["good.0"]["outputs"]["data"])
    first = struct.unpack("<" + str(len(data) // 4) + "f", data)[:10]
    assert sum(first) == pytest.approx(1, abs=1e-5)
    told = finished["good.1"]["runtime"]
    assert (told["name"], told["version"], told["precision"]) == ("ncnn", "1.0.20261020", "f32")
    wrong = {
        "shapeless": "tells no shape of input 'in0'; declare",
        "many": "takes one item at a time",
        "no-zip": "no zip archive of a .param and a .bin",
        "half": "0 files that end in .param; ncnn reads one",
        "nonsense": "does not read the network",
        "setting": "the ncnn engine has no setting 'batch'",
    }
    for name, words in wrong.items():
        failure = finished[name + ".0"]["failure"]
        assert (failure["kind"], words in failure["message"]) == ("load-error", True), json.dumps(failure)
