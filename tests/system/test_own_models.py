"""A model of one's own runs without any YAML, and docs/own-model.md says how."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.model_files import FLOAT32, sum_of
from tests.system.asking import BRIEF, SHORT

pytestmark = [pytest.mark.system, pytest.mark.network, pytest.mark.timeout(400)]

DIGITS = REPOSITORY / "models" / "digits"
PAGE = (REPOSITORY / "docs" / "own-model.md").read_text(encoding="utf-8")
_UNWANTED = frozenset({"BENCHFLEET_MODELS", "COLUMNS"})
LITERT = ("--runtimes", "ai-edge-litert==2.3.0")


class OwnLab(Lab):
    """Is a folder with nothing but an inventory of one device, and with a cache of runtimes."""

    @property
    def environment(self) -> dict[str, str]:
        # The models of this checkout are none of this lab's, and the tables have room.
        return {name: value for name, value in super().environment.items() if name not in _UNWANTED}


@pytest.fixture
def lab(tmp_path: Path) -> OwnLab:
    made = OwnLab(tmp_path)
    made.add_local("local")
    return made


def test_a_file_alone_runs_to_a_table_and_the_saved_sweep_runs_the_same_plan(lab: OwnLab) -> None:
    shutil.copy(DIGITS / "digits-fp32.tflite", lab.directory)
    first = lab.run("run", "digits-fp32.tflite", "--trials", "2", *BRIEF, timeout_s=300)
    assert first.returncode == ExitCode.FINE, first.stderr
    # Variant and threads are those of both cells, and stand below the table.
    assert re.search(r"^local +ai-edge-litert==2\.3\.0 +2 ", first.stdout, re.MULTILINE)
    assert "\nall cells: digits-fp32 · threads=1\n" in first.stdout
    assert "\nsweep: digits-fp32\n" in first.stderr
    assert "--save sweeps/NAME.yaml" in first.stderr
    assert not (lab.directory / "models").exists()

    more = lab.run("runs", "resume", "last", "--trials", "+1", timeout_s=200)
    assert more.returncode == ExitCode.FINE, more.stderr
    assert lab.counts("local") == [1] * 6

    saved = lab.run("run", "digits-fp32.tflite", "--trials", "2", *BRIEF, "--save", "sweeps/own.yaml", timeout_s=200)
    assert saved.returncode == ExitCode.FINE, saved.stderr
    again = lab.run("run", "sweeps/own.yaml", timeout_s=200)
    assert again.returncode == ExitCode.FINE, again.stderr
    (lab.directory / "digits-fp32.tflite").unlink()
    verified = lab.run("models", "verify")
    assert verified.returncode == ExitCode.FINE, verified.stderr
    plans = lab.rows("SELECT plan_sha256 FROM run_device ORDER BY id")
    assert plans[1] == plans[2]
    jobs = lab.rows("SELECT DISTINCT run_device_id, key FROM job")
    keys = [
        {row["key"] for row in jobs if row["run_device_id"] == one} for one in {row["run_device_id"] for row in jobs}
    ]
    assert keys == [keys[0]] * 3


def test_files_and_folders_of_several_models_make_one_run_each_compared_by_itself(lab: OwnLab) -> None:
    for name in ("fp32", "int8"):
        shutil.copy(DIGITS / f"digits-{name}.tflite", lab.directory / f"face{'' if name == 'fp32' else '-int8'}.tflite")
    shutil.copytree(DIGITS, lab.directory / "models" / "digits")
    files = ("face.tflite", "face-int8.tflite", "models/digits")
    # Only two of the described model's variants, so that the test is short; the files' variants have other names.
    names = ("--variants", "fp32,int8,face", "--trials", "2")
    done = lab.run("run", *files, *LITERT, *names, *BRIEF, "--save", "sweeps/all.yaml", timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stderr
    assert "models: [" in (lab.directory / "sweeps" / "all.yaml").read_text()
    assert "\nlocal   digits/int8  2 " in done.stdout
    assert "\nlocal   face/face    2 " in done.stdout
    compared = json.loads(lab.run("compare", "last", "--by", "variant", "--base", "f*", "--json").stdout)
    told = [(group["model"], group["base"]["at"]) for group in compared["groups"]]
    assert sorted(told) == [("digits", "fp32"), ("face", "face")]

    replayed = lab.run("replay", "last", "--cell", "model=face,variant=int8", "-o", "bundle")
    assert replayed.returncode == ExitCode.FINE, replayed.stderr
    again = lab.run("run", "bundle/sweep.yaml", "--select", "local", timeout_s=200)
    assert again.returncode == ExitCode.FINE, again.stderr
    series = lab.rows("SELECT count(*) AS jobs FROM job GROUP BY series_id ORDER BY jobs DESC")
    assert [row["jobs"] for row in series] == [2, 1, 1, 1]

    (lab.directory / "all-nightly.yaml").write_text("nightly: all\nsweeps: [sweeps/all.yaml]\ndevices: local\n")
    night = lab.run("nightly", "run", "all-nightly.yaml", timeout_s=300)
    assert night.returncode == ExitCode.FINE, night.stderr
    swept = lab.rows("SELECT sweep.name FROM night_run JOIN run ON run.id = run_id JOIN sweep ON sweep.id = sweep_id")
    assert sorted(row["name"] for row in swept) == ["face-digits-digits", "face-digits-face"]


def test_a_model_of_several_inputs_runs_on_a_detached_device(lab: OwnLab) -> None:
    pytest.importorskip("flatbuffers")
    inputs = [("a", (1, 4), FLOAT32), ("b", (-1, 4), FLOAT32), ("c", (1, 4), FLOAT32)]
    (lab.directory / "sum.tflite").write_bytes(sum_of(inputs, ("sum", (1, 4), FLOAT32)))
    lab.git("init", "--quiet")
    lab.git("add", "sum.tflite")
    lab.git("commit", "--quiet", "-m", "model")
    begun = lab.run("run", "sum.tflite", *LITERT, "--threads", "1,2", *SHORT, "--detach", timeout_s=200)
    assert begun.returncode == ExitCode.FINE, begun.stderr
    followed = lab.run("runs", "follow", "last", timeout_s=200)
    assert followed.returncode == ExitCode.FINE, followed.stderr
    assert lab.counts("local") == [1, 1]
    # The sweep is the cache's, and the work that is measured is where the model is.
    assert lab.rows("SELECT git_commit FROM run") == [{"git_commit": lab.git("rev-parse", "HEAD")}]


def test_every_command_of_the_page_works_in_a_folder_with_the_files(lab: OwnLab) -> None:
    shutil.copy(DIGITS / "digits-fp32.tflite", lab.directory / "face.tflite")
    shutil.copy(DIGITS / "digits-int8.tflite", lab.directory / "face-int8.tflite")
    commands = re.findall(r"^    benchfleet (.+)$", PAGE, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)
        done = lab.run(*words, *(SHORT if words[0] == "run" else ()), timeout_s=300)
        assert done.returncode == ExitCode.FINE, f"{command}\n{done.stderr}"
