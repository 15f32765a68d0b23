"""A cell is carried to another controller in a bundle, and runs there with the same settings and bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, SHARED_CACHE, Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

DATASET = "digits-test.npz"
SECRET = "hush-token-41ab"
PROGRAM = """\
import json, os, sys
data = open(os.environ["BENCHFLEET_MODEL"], "rb").read()
print(json.dumps({"runtime": {"name": "python", "version": "1"}}))
print(json.dumps({"metric": "latency_ns", "samples": [len(data) + n for n in range(8)]}))
print(json.dumps({"done": True}))
"""
BUILT_WITH = """
    SELECT j.key, j.label, j.settings, d.name AS device, m.name AS model, v.name AS variant, v.parent, v.base,
           v.sha256 AS artifact, x.label AS runtime, x.sha256 AS runtime_sha256, x.bundle_sha256, r.worker_sha256,
           s.identity_hash, s.environment_hash, r.run_id
    FROM job j JOIN run_device r ON r.id = j.run_device_id JOIN device d ON d.id = r.device_id
    JOIN device_snapshot s ON s.id = r.snapshot_id
    JOIN model_variant v ON v.id = j.variant_id JOIN model m ON m.id = v.model_id JOIN runtime x ON x.id = j.runtime_id
"""


class Controller(Lab):
    """Is a lab with a cache of its own: whatever another controller has packed is not at hand."""

    cache: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        cache = self.cache or self.directory / "cache"
        return {**super().environment, "BENCHFLEET_CACHE_DIR": str(cache), "LAB_API_TOKEN": SECRET}


@pytest.fixture
def lab(tmp_path: Path) -> Controller:
    made = Controller(tmp_path / "first")
    made.add_local("here", tags={"secret": SECRET})
    return made


@pytest.fixture
def other(tmp_path: Path) -> Controller:
    made = Controller(tmp_path / "second")
    made.add_local("here")
    made.add_local("there")
    return made


def measured(lab: Controller) -> Path:
    """Run a sweep of four cells, and return the program's file."""
    program = lab.write("bench.py", PROGRAM)
    shutil.copytree(REPOSITORY / "models" / "digits", lab.directory / "digits")
    runtime = {"exec": {"name": "reads", "command": ["python3", "bench.py", "--fast"], "files": ["bench.py"]}}
    fields: dict[str, Any] = {
        "variants": ["fp32", "int8"],
        "matrix": {"threads": [1, 2], "note": ["a 'b' $c"]},
        "trials": 2,
    }
    fields["accuracy"] = {"dataset": DATASET}
    sweep = lab.write_exec_sweep(name="grid", model="digits", runtimes=[runtime], **fields)
    done = lab.run("run", str(sweep))
    assert done.returncode == ExitCode.FINE, done.stderr
    return program


def build_anew(model: Path) -> None:
    """Write another artifact and another data set into a model's folder, as a rebuild does."""
    text = (model / "model.yaml").read_text()
    for name in ("digits-int8.tflite", DATASET):
        file = model / name
        old = hashlib.sha256(file.read_bytes()).hexdigest()
        file.write_bytes(file.read_bytes() + b"another")
        text = text.replace(old, hashlib.sha256(file.read_bytes()).hexdigest())
    (model / "model.yaml").write_text(text.replace("samples: 360", "samples: 1"))


def repeat(lab: Controller, script: Path, *flags: str) -> dict[str, Any]:
    """Run a bundle's command in the folder of a lab, and return the cell that it measured."""
    path = f"{Path(sys.executable).parent}:{lab.environment['PATH']}"
    done = subprocess.run(
        ["sh", str(script), *flags, "--json"],
        cwd=lab.directory,
        env={**lab.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == ExitCode.FINE, done.stderr
    run = json.loads(done.stdout)["record"]["header"]["run"]
    (cell,) = (one for one in lab.rows(BUILT_WITH) if one["run_id"] == run)
    return cell


def said(lab: Controller, *words: str) -> Any:
    done = lab.run("replay", *words, "--json")
    assert done.returncode == ExitCode.FINE, done.stderr
    return json.loads(done.stdout)


def test_a_cell_runs_on_another_controller_with_the_same_settings_and_bytes(lab: Controller, other: Controller) -> None:
    program = measured(lab)
    program.write_text("raise SystemExit('edited since')\n")
    build_anew(lab.directory / "digits")
    (written,) = said(lab, "last", "--cell", "variant=int8,threads=2", "-o", "bundle.tar")
    bundle = lab.directory / "bundle.tar"
    assert (written["format"], written["size_bytes"]) == ("tar", bundle.stat().st_size)
    with tarfile.open(bundle) as archive:
        assert {(one.uid, one.uname, one.mtime) for one in archive} == {(0, "", 0)}
        archive.extractall(other.directory, filter="data")
    shutil.move(lab.directory, lab.directory.with_name("gone"))

    cell = repeat(other, other.directory / "bundle" / "run.sh")
    elsewhere = repeat(other, other.directory / "bundle" / "run.sh", "--select", "there")
    shutil.move(lab.directory.with_name("gone"), lab.directory)
    (old,) = (one for one in lab.rows(BUILT_WITH) if one["variant"] == "int8" and "threads=2" in one["label"])
    assert {**cell, "run_id": None} == {**old, "run_id": None}
    assert (old["parent"], old["base"]) == ("fp32", "fp32"), "the parent is on record in both databases"
    same = ("label", "settings", "artifact", "runtime", "runtime_sha256", "worker_sha256", "environment_hash")
    assert [elsewhere[name] for name in same] == [old[name] for name in same]

    folder = other.directory / "bundle"
    (model,) = folder.glob("models/*/model.yaml")
    assert json.loads(model.read_text())["datasets"][DATASET]["samples"] == 360
    (facts,) = json.loads((folder / "facts.json").read_text())
    assert (facts["identity_hash"], facts["environment_hash"]) == (cell["identity_hash"], cell["environment_hash"])
    account = json.loads((folder / "cell.json").read_text())
    assert account["job"] == cell["key"]
    assert account["settings"] == json.loads(cell["settings"])
    assert [account[f"{name}_sha256"] for name in ("artifact", "runtime", "worker")] == [
        cell["artifact"],
        cell["runtime_sha256"],
        cell["worker_sha256"],
    ]
    size = (REPOSITORY / "models/digits/digits-int8.tflite").stat().st_size
    values = [one["metrics"]["latency_ns"] for one in account["attempts"] if one["counted"]]
    assert values == [size + 3.5] * 2
    plan = json.loads((folder / "plan.json").read_text())
    assert [job["job"] for job in plan["jobs"]] == [cell["key"]]
    assert {trial["job"] for trial in plan["trials"]} == {cell["key"]}
    assert [blob["kind"] for blob in sorted(plan["blobs"], key=lambda blob: blob["kind"])] == [
        "dataset",
        "file",
        "model",
    ]


def test_an_attempt_is_named_by_its_id_and_the_bundle_tells_nothing_of_the_lab(lab: Controller) -> None:
    measured(lab)
    cell = "variant=fp32,threads=1"
    (shown,) = lab.json("runs", "show", "last", "--cell", cell)
    attempt = str(shown["attempts"][-1]["attempt"])
    (written,) = said(lab, attempt, "-o", "by-attempt")
    assert written["format"] == "folder"
    said(lab, "last", "--cell", cell, "-o", "by-rule")
    one, two = lab.directory / "by-attempt", lab.directory / "by-rule"
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert [name for name in names if (one / name).read_bytes() != (two / name).read_bytes()] == [Path("README.txt")]
    everything = b"".join((one / name).read_bytes() for name in names)
    for secret in (SECRET, str(lab.directory), str(lab.home), "benchfleet.db"):
        assert secret.encode() not in everything, secret
    readme = (one / "README.txt").read_text()
    assert "sh by-attempt/run.sh" in readme
    assert "fp32 · exec/reads · threads=1" in readme


def test_what_is_gone_is_named_by_hash_and_place_and_nothing_is_left(lab: Controller) -> None:
    program = measured(lab)
    artifact = lab.directory / "digits" / "digits-fp32.tflite"
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (artifact, program)]
    words = ("last", "--cell", "variant=fp32,threads=1", "-o")
    shutil.rmtree(lab.directory / "cache" / "blobs")
    said(lab, *words, "from-files")
    shutil.rmtree(lab.directory / "cache" / "blobs")
    artifact.unlink()
    program.write_text("raise SystemExit('edited since')\n")
    for out in ("gone", "gone.tar"):
        done = lab.run("replay", *words, out)
        assert done.returncode == ExitCode.INFRASTRUCTURE
        assert done.stderr.startswith("error: 2 of 3 contents are gone\n")
        for word in (*hashes, str(artifact), "No such file", str(program), "has SHA-256", str(lab.directory / "cache")):
            assert word in done.stderr, word
    assert not [path for path in lab.directory.iterdir() if "gone" in path.name or "incoming" in path.name]


def test_what_cannot_be_written_is_said(lab: Controller) -> None:
    measured(lab)
    cases = [
        (
            ("last", "-o", "new"),
            "error: a bundle has one cell, and 4 are named",
            "--cell 'device=here,variant=fp32,runtime=exec/reads,threads=1,note=",
        ),
        (("last", "--cell", "variant=int8", "-o", "new"), "error: a bundle has one cell, and 2 are named", "--cell"),
        (("last", "--cell", "variant=int9", "-o", "new"), "error: --cell matches no cell of the run", "known: here"),
        (("999999", "-o", "new"), "error: there is no attempt 999999", "runs show RUN --cell"),
        (("r9", "--cell", "variant=int8", "-o", "new"), "error: there is no run 'r9'", "runs list"),
        (("last", "-o", "bench.py"), "error: bench.py: is there already", "name a new one"),
        (("1", "-o", "bench.py/new"), "error: bench.py/new: the bundle cannot be written", "name a place"),
    ]
    for words, error, hint in cases:
        done = lab.run("replay", *words)
        assert done.returncode == ExitCode.USAGE, done.stderr
        assert done.stderr.startswith(error), done.stderr
        assert hint in done.stderr
    shutil.rmtree(lab.directory / "digits")
    done = lab.run("replay", "1", "-o", "new")
    assert "no such model folder" in done.stderr
    assert "restore model.yaml there" in done.stderr
    assert not (lab.directory / "new").exists()


@pytest.mark.network
def test_a_pinned_runtime_comes_with_the_bundle_and_needs_no_network(lab: Controller, other: Controller) -> None:
    lab.cache = SHARED_CACHE
    fields: dict[str, Any] = {
        "variants": ["int8"],
        "matrix": {"threads": [1]},
        "trials": 1,
        "runtimes": ["tflite-runtime==2.14.0"],
    }
    measure: dict[str, Any] = {
        "measure": {"runs_min": 5, "seconds_min": 0.1},
        "accuracy": {"dataset": "digits-test.npz"},
    }
    done = lab.run("run", str(lab.write_exec_sweep(name="tflite", **fields, **measure)), timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stderr
    said(lab, "last", "-o", str(other.directory / "carried"))
    # Whatever would resolve the runtime anew fails: there is no index.
    index = {"UV_OFFLINE": "1", "UV_NO_CACHE": "1", "UV_INDEX_URL": "http://127.0.0.1:9/", "UV_DEFAULT_INDEX": ""}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in index.items():
            patch.setenv(name, value)
        cell = repeat(other, other.directory / "carried" / "run.sh")
    (old,) = lab.rows(BUILT_WITH)
    assert old["bundle_sha256"] is not None
    assert {**cell, "run_id": None} == {**old, "run_id": None}
    accuracy = "SELECT DISTINCT value FROM measurement WHERE metric = 'accuracy_top1'"
    assert lab.rows(accuracy) == other.rows(accuracy) != []
