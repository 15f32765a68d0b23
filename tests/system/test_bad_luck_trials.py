"""Trials that crash, hang, babble or eat memory: each costs itself alone, and is told with its reason."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, REPOSITORY, WAIT_S, Lab
from tests.servers import processes
from tests.servers.sshd import SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

TRIALS = 2
MEMORY_BYTES_MAX = 256 << 20

FATES = {
    "segfault": ("kill -SEGV $$", ("killed-by-signal", "SIGSEGV")),
    "hang": ("sleep 600 & sleep 600", ("timeout", "still running after 2 s")),
    "garbage": ("echo Loading model...", ("garbage-output", "Loading model...")),
    "flood": ("cat /dev/zero", ("garbage-output", "printed more than 64 MiB")),
    "memory": (
        f"exec {sys.executable} -c '[bytes(1 << 24) for _ in iter(int, 1)]'",
        ("out-of-memory", "the limit is 256 MiB"),
    ),
    "exit": ("echo the camera is missing >&2; exit 9", ("exit-code", "exit code 9", "the camera is missing")),
    "silence": ("exit 0", ("no-result", "done")),
}
"""What the first trial of a cell does, and what is told of it."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Lab:
    made = Lab(tmp_path_factory.mktemp("trials"))
    made.trust(ssh_server)
    for name in ("good", "bad"):
        made.add_ssh(name, ssh_server, limits={"memory_bytes_max": MEMORY_BYTES_MAX})
    return made


@pytest.fixture(scope="module")
def done(lab: Lab) -> subprocess.CompletedProcess[str]:
    """A run in which one trial of each cell goes wrong, on one of two devices."""
    fates = "".join(f"{name}) {action} ;;\n" for name, (action, _) in FATES.items())
    goes_wrong = f"case $PWD/$BENCHFLEET_TRIAL in */bad/*.1) case $BENCHFLEET_SETTING_FATE in\n{fates}esac ;; esac\n"
    matrix = {"fate": [*FATES, "none"]}
    lab.write_exec_sweep(goes_wrong + OK_PROGRAM, trials=TRIALS, matrix=matrix, timeouts={"trial_s": 2})
    return lab.run("run", "sweep.yaml")


@pytest.fixture(scope="module")
def shown(lab: Lab, done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    return lab.run("runs", "show", done.stdout.split()[1])


def test_a_trial_that_fails_costs_itself_alone(lab: Lab, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    lab.assert_told(done, "good", "complete", f"{TRIALS * (len(FATES) + 1)} measured")
    lab.assert_told(done, "bad", "complete", f"{(TRIALS - 1) * len(FATES) + TRIALS} measured, {len(FATES)} failed")
    assert lab.counts("good") == [1] * TRIALS * (len(FATES) + 1)
    assert sorted(lab.counts("bad")) == [0] * len(FATES) + [1] * ((TRIALS - 1) * len(FATES) + TRIALS)


@pytest.mark.parametrize("fate", FATES)
def test_each_failure_is_named_by_the_run(shown: subprocess.CompletedProcess[str], fate: str) -> None:
    (line,) = [line for line in shown.stdout.splitlines() if f"fate={fate}" in line and " failed " in line]
    assert line.split()[0] == "bad"
    assert [word for word in FATES[fate][1] if word not in line] == []


def test_the_run_says_how_to_try_again(shown: subprocess.CompletedProcess[str]) -> None:
    assert shown.returncode == 3
    run = shown.stdout.split()[1]
    assert f"hint: benchfleet runs resume {run} --retry-failed" in shown.stdout


def test_no_process_of_a_trial_is_left(lab: Lab, done: subprocess.CompletedProcess[str]) -> None:
    processes.wait_until(lambda: not lab.processes("bad"), "the device is idle", WAIT_S)


def test_a_device_that_another_controller_uses_is_left_to_it(tmp_path: Path, ssh_server: SshServer) -> None:
    """Two controllers that share no database meet at the device: the second is told who was first, and since when."""
    first, second = Lab(tmp_path / "first"), Lab(tmp_path / "second")
    for lab in (first, second):
        lab.trust(ssh_server)
        lab.add_ssh("shared", ssh_server, state_dir=str(tmp_path / "shared"))
    second.add_ssh("good", ssh_server)
    waits = f"case $BENCHFLEET_TRIAL in *.1) ;; *) until [ -e {tmp_path}/gate ]; do sleep 0.1; done ;; esac\n"
    first.write_exec_sweep(waits + OK_PROGRAM, trials=TRIALS)
    second.write_exec_sweep(trials=TRIALS)
    controller = first.start("run", "sweep.yaml")
    try:
        first.wait_for_results("shared", at_least=1)
        refused = second.run("run", "sweep.yaml")
        (tmp_path / "gate").touch()
        assert controller.wait(WAIT_S) == 0
    finally:
        controller.kill()
        controller.wait()
    (run,) = [row["id"] for row in first.rows("SELECT id FROM run")]
    assert refused.returncode == 3
    second.assert_told(refused, "shared", "failed", "start", run, "since 20", "UTC", "hint", "wait", "runs cancel")
    assert second.counts("good") == first.counts("shared") == [1] * TRIALS
    resumed = second.run("runs", "resume", "last")
    assert resumed.returncode == 0, resumed.stderr
    assert second.counts("shared") == second.counts("good") == first.counts("shared") == [1] * TRIALS


def test_two_devices_that_are_one_are_told_so(tmp_path: Path, ssh_server: SshServer) -> None:
    """Two names for one state folder: the one that comes first is measured, the other learns what is wrong."""
    lab = Lab(tmp_path)
    lab.trust(ssh_server)
    for name in ("one", "two"):
        lab.add_ssh(name, ssh_server, state_dir=str(tmp_path / "shared"))
    lab.write_exec_sweep(f"until [ -e {tmp_path}/gate ]; do sleep 0.1; done\n" + OK_PROGRAM, trials=TRIALS)
    errors = tmp_path / "stderr"
    with errors.open("w") as file:
        controller = lab.start("run", "sweep.yaml", stdout=subprocess.DEVNULL, stderr=file)
    try:
        processes.wait_until(lambda: "hint" in errors.read_text(), "one of the two is refused", WAIT_S)
        (tmp_path / "gate").touch()
        assert controller.wait(WAIT_S) == 3
    finally:
        controller.kill()
        controller.wait()
    done = subprocess.CompletedProcess([], 3, "", errors.read_text())
    refused, measured = ("one", "two") if lab.counts("two") == [1] * TRIALS else ("two", "one")
    lab.assert_told(done, refused, "failed", "start", "another plan here", "hint", "share a state_dir")
    lab.assert_told(done, measured, "complete", f"{TRIALS} measured")
    assert lab.counts(measured) == [1] * TRIALS
    assert lab.counts(refused) == [0] * TRIALS


@pytest.mark.network
def test_a_variant_that_a_runtime_cannot_load_costs_its_cells_alone(tmp_path: Path, ssh_server: SshServer) -> None:
    lab = Lab(tmp_path)
    lab.trust(ssh_server)
    for name in ("one", "two"):
        lab.add_ssh(name, ssh_server)
    damage(shutil.copytree(REPOSITORY / "models" / "digits", tmp_path / "digits"), "digits-int8.tflite")
    runtime = "ai-edge-litert==2.3.0"
    measure = {"runs_min": 5, "seconds_min": 0.05}
    sweep = {"sweep": "rejected", "model": "digits", "variants": ["fp32", "int8"], "runtimes": [runtime]}
    lab.write("sweep.yaml", json.dumps({**sweep, "trials": TRIALS, "measure": measure}))

    done = lab.run("run", "sweep.yaml")

    assert done.returncode == 3, done.stderr  # a cell without a value, which the sweep does not allow to fail
    for device in lab.devices:
        lab.assert_told(done, device, f"int8 · {runtime}  failed: load-error", "complete", f"{TRIALS} failed")
        assert sorted(lab.counts(device)) == [0] * TRIALS + [1] * TRIALS
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(device) and "its preflight" in line]
        assert "int8" in row
        assert "load-error" in row


def damage(model: Path, artifact: str) -> None:
    """Spoil an artifact, and have the model's description say that it is just so: only a runtime can tell."""
    file, described = model / artifact, model / "model.yaml"
    whole = file.read_bytes()
    file.write_bytes(whole[:64] + bytes(len(whole) - 64))
    text = described.read_text()
    described.write_text(text.replace(sha256(whole).hexdigest(), sha256(file.read_bytes()).hexdigest()))
