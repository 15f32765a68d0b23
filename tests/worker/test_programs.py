"""Programs that a trial finds on the device: known by their content, since the plan cannot name it."""

import hashlib
import os
import shutil

import pytest

from device_worker.runner.programs import Programs
from device_worker.runner.trial_process import TrialCommand
from worker_client import trials_of

SILENT = '#!/bin/sh\necho \'{"metric": "m", "value": 1}\'\necho \'{"done": true}\'\n'
SAYS = '#!/bin/sh\necho \'{"runtime": {"name": "mine", "version": "1.0"}}\'\n' + SILENT


@pytest.fixture
def tool(tmp_path):
    """A program of the device, not of the plan."""
    path = tmp_path / "bin" / "bench-tool"
    path.parent.mkdir()
    path.write_text(SILENT)
    path.chmod(0o755)
    return path


def runtime_of(device, plans, run="run-1"):
    (finished,) = trials_of(device.execute(run, plans))
    assert finished["failure"] is None
    return finished["runtime"]


def sha256_of_file(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_program_by_its_path_is_known_by_its_content(device, plans, tool):
    plans.add_program("job", command=[str(tool), "--fast"], files=[])
    before = runtime_of(device, plans)
    sha256 = sha256_of_file(tool)
    assert before == {"program_path": str(tool), "program_sha256": sha256, "version": f"sha256:{sha256[:12]}"}
    tool.write_text(SILENT + "# built again\n")
    after = runtime_of(device, plans, "run-2")
    assert after["version"] == f"sha256:{sha256_of_file(tool)[:12]}" != before["version"]


def test_a_program_on_the_path_is_the_one_that_is_started(connect, plans, tool):
    device = connect(environment={"PATH": f"/nowhere:{tool.parent}:{os.environ['PATH']}"})
    plans.add_program("job", command=["bench-tool"], files=[])
    assert runtime_of(device, plans)["program_path"] == str(tool)


def test_what_a_program_says_of_its_version_stands(device, plans, tool):
    tool.write_text(SAYS)
    plans.add_program("job", command=[str(tool)], files=[])
    assert runtime_of(device, plans) == {
        "name": "mine",
        "version": "1.0",
        "program_path": str(tool),
        "program_sha256": sha256_of_file(tool),
    }


@pytest.mark.parametrize("command", [["program"], ["./program"]])
def test_a_program_that_is_shipped_is_in_the_plan_already(device, plans, command):
    plans.add_program("job", SILENT, command=command)
    assert runtime_of(device, plans) is None


def test_a_shell_that_runs_a_shipped_script_is_known(device, plans):
    plans.add_program("job", SILENT, command=["sh", "program"])
    assert runtime_of(device, plans)["program_path"] == os.path.realpath(shutil.which("sh"))


def test_a_program_is_read_again_only_when_it_has_changed(tool, monkeypatch):
    launch = TrialCommand([str(tool)], "/", dict(os.environ), "/dev/null")
    programs = Programs()
    first = programs.find(launch).sha256
    reading = []
    monkeypatch.setattr(hashlib, "sha256", lambda: reading.append(1) or hashlib.new("sha256"))
    assert programs.find(launch).sha256 == first
    assert reading == []
    tool.write_text(SAYS)
    assert programs.find(launch).sha256 == sha256_of_text(SAYS)
    assert reading == [1]


def sha256_of_text(text):
    return hashlib.new("sha256", text.encode()).hexdigest()


@pytest.mark.parametrize("word", ["/nowhere/tool", "no-such-tool", "./absent", "/etc"])
def test_a_program_that_is_not_there_is_unknown(tmp_path, word):
    assert Programs().find(TrialCommand([word], str(tmp_path), dict(os.environ), "/dev/null")) is None


def test_a_python_program_runs_its_own_modules_and_none_of_an_earlier_trial(connect, plans, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    device = connect(environment={**environment, "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode")})
    script = (
        "import json, own; print(json.dumps({'metric': 'm', 'value': own.VALUE})); print(json.dumps({'done': True}))"
    )
    bench = plans.add_file("bench.py", script.encode())
    for value in (1, 2):
        # Of one size. Size and date are all that Python looks at.
        own = plans.add_file("own.py", b"VALUE = %d\n" % value)
        plans.add_program("job-%d" % value, command=["python3", "bench.py"], files=[bench, own])

    # From the second run on the files have one date: that of their last use.
    for run in ("run-1", "run-2"):
        finished = trials_of(device.execute(run, plans))
        assert sorted(one["metrics"][0]["value"] for one in finished) == [1, 2]
