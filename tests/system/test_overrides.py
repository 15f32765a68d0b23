"""Values of the command line are laid over a written sweep, and a run keeps to them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import Lab

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("here")
    return made


def test_a_run_has_what_was_set_and_a_resume_and_a_bundle_keep_to_it(lab: Lab) -> None:
    lab.write_exec_sweep()
    # A device without its interpreter has no plan: the resume makes it, of the stored sweep.
    lab.add_local("late", python=str(lab.directory / "none"))
    given = ("--trials", "2", "--variants", "int8,fp32", "--set", "matrix.size=[1, 2]", "--set", "order.seed=9")
    begun = lab.run("run", "sweep.yaml", *given)
    assert begun.returncode == ExitCode.INCOMPLETE, begun.stderr
    assert lab.counts("here") == [1] * 8
    lab.add_local("late")
    resumed = lab.run("runs", "resume", "last")
    assert resumed.returncode == ExitCode.FINE, resumed.stderr
    assert lab.counts("late") == [1] * 8

    shown = lab.run("runs", "show", "last", environment={"COLUMNS": "200"})
    assert "--set trials=2" in " ".join(shown.stdout.split())
    header = lab.json("runs", "show", "last")["record"]["header"]
    assert header["settings"]["set"] == [
        'variants=["int8", "fp32"]',
        "trials=2",
        "matrix.size=[1, 2]",
        "order.seed=9",
    ]
    stored = json.loads(header["sweep_document"])
    assert (stored["trials"], stored["matrix"], header["seed"]) == (2, {"size": [1, 2]}, 9)
    assert json.loads((lab.directory / "sweep.yaml").read_text())["trials"] == 3

    bundled = lab.run("replay", "last", "--cell", "device=here,variant=int8,size=2", "-o", "bundle")
    assert bundled.returncode == ExitCode.FINE, bundled.stderr
    sweep = json.loads((lab.directory / "bundle" / "sweep.yaml").read_text())
    assert (sweep["trials"], sweep["variants"], sweep["matrix"]) == (2, ["int8"], {"size": [2]})


def test_plan_takes_the_same_options_and_a_mistake_names_the_option(lab: Lab) -> None:
    lab.write_exec_sweep()
    planned = lab.json("plan", "sweep.yaml", "--set", "trials=4", "--runtimes", "exec/shell", "--variants", "fp16")
    (plan,) = planned["plans"]
    assert [job["variant"] for job in plan["document"]["jobs"]] == ["fp16"]
    assert len(plan["document"]["trials"]) == 4
    for options, message in (
        (["--set", "trails=4"], "--set trails=4: unknown key 'trails'\nhint: did you mean 'trials'?\n"),
        (["--trials", "0"], "--set trials=0: trials: must be at least 1, not 0\n"),
        (["--variants", "int9"], "--set variants=[\"int9\"]: model 'digits' has no variant 'int9'\n"),
    ):
        for command in ("plan", "run"):
            ended = lab.run(command, "sweep.yaml", *options)
            assert ended.returncode == ExitCode.USAGE
            assert ended.stderr.startswith(f"error: {message}")
    assert not lab.rows("SELECT id FROM run")


@pytest.mark.network
def test_the_examples_of_a_new_lab_run_as_they_are(lab: Lab) -> None:
    assert lab.run("init", "new").returncode == ExitCode.FINE
    lab.directory /= "new"
    lab.database = lab.directory / "benchfleet.db"
    lab.allow_other_load("inventory/local.yaml")
    for sweep in ("own-model", "exec/shell"):
        done = lab.run("run", f"sweeps/{sweep}.yaml", "--trials", "1", timeout_s=200)
        assert done.returncode == ExitCode.FINE, done.stderr
    assert len(lab.counts("local")) == 4
    night = lab.run("nightly", "run", "nightly.yaml", timeout_s=280)
    assert night.returncode in (ExitCode.FINE, ExitCode.INCOMPLETE), night.stderr
    named = lab.run("schema", "sweep")
    assert named.stdout == (lab.directory / "schemas" / "sweep.schema.json").read_text()
