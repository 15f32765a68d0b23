"""What a gate refuses: real sweeps of variants that are broken, each in another way, against good ones."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab

PROGRAM = """\
# A model is loaded as TensorFlow Lite would: by the identifier of its file.
if [ "$(dd if="$BENCHFLEET_MODEL" bs=1 skip=4 count=4 2>/dev/null)" != TFL3 ]; then
    echo '{"failure": {"kind": "load-error", "message": "not a model"}}'
    exit 0
fi
. ./pace.sh
echo '{"runtime": {"name": "shell", "version": "1"}}'
echo "{\\"metric\\": \\"accuracy_top1\\", \\"value\\": $accuracy}"
base=$((latency + $$ % 7 * 1000))
echo "{\\"metric\\": \\"latency_ns\\", \\"samples\\": [$base, $base, $base, $base, $base, $base]}"
echo '{"done": true}'
"""
GOOD = "latency=10000000; accuracy=0.98\n"
GATE = ("--fail-on-regression",)
BEFORE = ("compare", "last", "--against", "last-before")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("here")
    shutil.copytree(REPOSITORY / "models" / "digits", tmp_path / "digits")
    return made


def measure(lab: Lab, pace: str = GOOD, ends: ExitCode = ExitCode.FINE, **fields: object) -> None:
    """Run the sweep to its end. `pace` decides what its program reports."""
    lab.write("pace.sh", pace)
    runtime = {"exec": {"name": "shell", "command": ["sh", "sweep.sh"], "files": ["sweep.sh", "pace.sh"]}}
    sweep: dict[str, Any] = {
        "model": "digits",
        "variants": ["fp32", "int8"],
        "runtimes": [runtime],
        "trials": 5,
        **fields,
    }
    done = lab.run("run", str(lab.write_exec_sweep(PROGRAM, **sweep)))
    assert done.returncode == ends, done.stdout + done.stderr


def spoil(lab: Lab, variant: str) -> None:
    """Replace the artifact of a variant by a file that no runtime loads."""
    file, model = lab.directory / "digits" / f"digits-{variant}.tflite", lab.directory / "digits" / "model.yaml"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(b"no model" * 1000)
    text = model.read_text()
    assert before in text
    model.write_text(text.replace(before, hashlib.sha256(file.read_bytes()).hexdigest()))


def refused(lab: Lab, *words: str) -> list[tuple[str, str]]:
    """Return kind and text of each reason, after checking that every format has it as a line of the answer."""
    found = lab.run(*words, *GATE, "--json")
    assert found.returncode == ExitCode.REGRESSION, found.stdout + found.stderr
    reasons = [(reason["kind"], reason["text"]) for reason in json.loads(found.stdout)["reasons"]]
    junit = ElementTree.fromstring(lab.run(*words, *GATE, "--format", "junit").stdout)
    failures = " ".join(one.attrib["message"] + (one.text or "") for one in junit.iter("failure"))
    markdown = lab.run(*words, *GATE, "--format", "markdown").stdout.replace("\\", "")
    for kind, text in reasons:
        assert text in failures
        assert re.search(rf"^- fails \({kind}\): .*{re.escape(text)}$", markdown, re.MULTILINE)
    return reasons


def test_the_same_again_passes(lab: Lab) -> None:
    measure(lab)
    measure(lab)
    done = lab.run(*BEFORE, *GATE, "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["reasons"], answer["kind"]) == (ExitCode.FINE, [], "over-time")
    assert [group["rows"][0]["ratio"] is not None for group in answer["groups"]] == [True, True]
    assert lab.run("compare", "last", *GATE).returncode == ExitCode.FINE


def test_half_as_fast_regressed_and_the_other_way_round_improved(lab: Lab) -> None:
    measure(lab)
    measure(lab, "latency=15000000; accuracy=0.98\n")
    kinds = [kind for kind, _ in refused(lab, *BEFORE)]
    assert kinds == ["regressed", "regressed"]
    assert lab.run(*BEFORE).returncode == ExitCode.FINE  # the gate is asked for, or the answer is no failure
    (newest, oldest) = [run["run"] for run in lab.json("runs", "list")][:2]
    back = lab.run("compare", oldest, "--against", newest, *GATE)
    assert back.returncode == ExitCode.FINE
    assert "improved" in back.stdout


def test_a_model_that_does_not_load(lab: Lab) -> None:
    measure(lab)
    spoil(lab, "int8")
    measure(lab, ends=ExitCode.INCOMPLETE)
    ((kind, text),) = refused(lab, *BEFORE)
    assert kind == "does-not-load"
    assert "load-error: not a model" in text
    # Of two variants nothing is left to compare either.
    assert {kind for kind, _ in refused(lab, "compare", "last")} == {"nothing-compared", "does-not-load"}


def test_an_accuracy_that_fell(lab: Lab) -> None:
    measure(lab)
    measure(lab, "latency=10000000; accuracy=0.98; [ $BENCHFLEET_VARIANT = int8 ] && accuracy=0.10\n")
    for words in (BEFORE, ("compare", "last")):
        ((kind, text),) = refused(lab, *words)
        assert kind == "less-accurate"
        assert "accuracy_top1 fell from 0.98 to 0.1: more than 0.01 (the default for accuracy_top1)" in text
    assert lab.run(*BEFORE, *GATE, "--max-accuracy-loss", "0.9").returncode == ExitCode.FINE


def test_a_cell_that_is_no_longer_planned(lab: Lab) -> None:
    measure(lab, matrix={"threads": [1]})
    measure(lab, matrix={"threads": [1]}, exclude=[{"variant": "int8"}])
    ((kind, text),) = refused(lab, *BEFORE)
    assert kind == "missing"
    assert "exclude rule 1 of the sweep" in text


def test_a_cell_that_its_device_cannot_run(lab: Lab) -> None:
    measure(lab, variants=["fp32"], matrix={"threads": [1, 2048]})
    reasons = dict(refused(lab, "compare", "last", "--by", "threads", "--base", "1"))
    assert set(reasons) == {"nothing-compared", "missing"}
    assert "2048 threads on a device of" in reasons["missing"]


def test_nothing_in_common(lab: Lab) -> None:
    measure(lab, variants=["fp32"])
    measure(lab, variants=["int8"])
    kinds = {kind for kind, _ in refused(lab, *BEFORE)}
    assert kinds == {"nothing-compared", "missing"}


def test_one_trial_on_each_side_is_no_comparison(lab: Lab) -> None:
    measure(lab, trials=1)
    measure(lab, trials=1)
    assert {kind for kind, _ in refused(lab, *BEFORE)} == {"nothing-compared"}


def test_outputs_that_nobody_can_compare_where_agreement_is_required(lab: Lab) -> None:
    measure(lab)
    ((kind, _),) = refused(lab, "compare", "last", "--require-agreement")[:1]
    assert kind == "outputs-disagree"


@pytest.mark.timeout(300)
def test_a_cell_that_may_fail_leaves_the_run_clean_and_no_other_does(lab: Lab) -> None:
    """The rule stands in the sweep's file, and every answer about the run counts alike."""
    spoil(lab, "int8")
    measure(lab, allow_failures=[{"variant": "int8", "device": "he*"}])
    assert lab.json("runs", "list")[0]["state"] == lab.json("runs", "show", "last")["record"]["state"] == "complete"
    assert lab.run("runs", "show", "last").returncode == ExitCode.FINE
    (failed,) = lab.rows("SELECT count(*) AS trials FROM v_missing")
    assert failed["trials"] == 5, "allowed to fail, and not hidden"
    measure(lab, ends=ExitCode.INCOMPLETE, allow_failures=[{"variant": "int8", "device": "there"}])
    assert [run["state"] for run in lab.json("runs", "list")] == ["incomplete", "complete"]
    assert lab.run("runs", "show", "last").returncode == ExitCode.INCOMPLETE


@pytest.mark.timeout(400)
@pytest.mark.network
def test_outputs_that_truly_differ_where_agreement_is_required(lab: Lab) -> None:
    """Quantised weights move the outputs of a real model, and half the bits of a float do not."""
    sweep = {
        "sweep": "agreement",
        "model": "digits",
        "variants": ["fp32", "fp16", "dynamic"],
        "runtimes": ["ai-edge-litert==2.3.0"],
        "trials": 2,
        "measure": {"warmup": {"runs_min": 1, "seconds_min": 0}, "runs_min": 10, "seconds_min": 0, "seconds_max": 5},
        "accuracy": {"dataset": "digits-test.npz", "metric": "top1"},
    }
    done = lab.run("run", str(lab.write("real.yaml", json.dumps(sweep))), timeout_s=300)
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    words = ("compare", "last", "--base", "fp32", "--metric", "size", "--require-agreement")
    ((kind, text),) = refused(lab, *words)
    assert kind == "outputs-disagree"
    assert re.fullmatch(r"outputs disagree by up to 0\.0\d+", text)
    found = lab.json(*words)
    assert {row["side"]["at"]: row["outputs"]["agreement"] for row in found["groups"][0]["rows"]} == {
        "fp16": "agree",
        "dynamic": "differ",
    }
    assert lab.run(*words, *GATE, "--atol", "0.2").returncode == ExitCode.FINE
    tests = {row["side"]["at"]: row["accuracy_test"] for row in found["groups"][0]["rows"]}
    assert {(test["method"], test["inputs"]) for test in tests.values()} == {("mcnemar", 360)}


@pytest.mark.timeout(300)
def test_trials_are_added_to_an_undecided_comparison_by_the_command_that_it_names(lab: Lab) -> None:
    # Trials of a cell differ by one per cent by their number, and the cells by half as much.
    noise = "latency=$((10000000 + ${BENCHFLEET_TRIAL##*.} % 3 * 120000)); accuracy=0.98\n"
    measure(lab, noise + "[ $BENCHFLEET_VARIANT = int8 ] && latency=$((latency + 60000))\n", trials=3)
    found = lab.json("compare", "last", "--metric", "latency")
    (row,) = found["groups"][0]["rows"]
    assert row["verdict"] == "inconclusive"
    (command,) = found["commands"]
    done = lab.run(*shlex.split(command)[1:])
    assert done.returncode == ExitCode.FINE, done.stdout + done.stderr
    after = lab.json("compare", "last", "--metric", "latency")["groups"][0]
    assert after["base"]["trials"] == after["rows"][0]["side"]["trials"] == 3 + row["trials_more"]
