"""A run on a device whose power a meter of the controller sees, and a recording that is joined afterwards."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from orchestrator.domain.errors import ExitCode
from tests.lab import Lab
from tests.servers.meters import http_plug, shelly

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

WATTS = 6.0
METER = """
import time
while True:
    print(f"{time.time():.6f} 6.0", flush=True)
    time.sleep(0.02)
"""
PROGRAM = f"""\
exec {sys.executable} - <<'END'
import json, time
begin = time.monotonic_ns()
samples = []
while time.monotonic_ns() < begin + 2_000_000_000:
    before = time.monotonic_ns()
    time.sleep(0.02)
    samples.append(time.monotonic_ns() - before)
window = {{"begin_mono_ns": begin, "end_mono_ns": time.monotonic_ns()}}
print(json.dumps({{"runtime": {{"name": "shell", "version": "1"}}}}))
print(json.dumps({{"metric": "latency_ns", "samples": samples}}))
print(json.dumps({{"window": window}}))
print(json.dumps({{"done": True}}))
END
"""
FIGURES = """
SELECT trial.key AS trial, measurement.metric, measurement.value, measurement.source, latency.mean AS mean_ns
FROM measurement
JOIN attempt ON attempt.id = measurement.attempt_id AND attempt.counted
JOIN trial ON trial.id = attempt.trial_id
JOIN measurement AS latency ON latency.attempt_id = attempt.id AND latency.metric = 'latency_ns'
WHERE measurement.metric = ?
ORDER BY trial.key
"""
ACCOUNTS = "SELECT source, reason, energy_reason, clock_offset_ns, clock_uncertainty_ns, samples FROM power_account"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def figures(lab: Lab, metric: str) -> list[dict[str, object]]:
    return list(lab.rows(FIGURES.replace("?", f"'{metric}'")))


def test_a_command_that_prints_watts_gives_each_trial_its_energy_above_idle(lab: Lab) -> None:
    meter = lab.write("meter.py", METER)
    command = [sys.executable, str(meter)]
    lab.add_local("desk", power=[{"command": command, "period_s": 0.02, "update_s": 0.0, "accuracy_percent": 0.5}])
    sweep = lab.write_exec_sweep(PROGRAM, trials=2)
    done = lab.run("run", str(sweep), timeout_s=200)
    assert done.returncode == ExitCode.FINE, done.stderr
    (name,) = {row["source"] for row in figures(lab, "energy_gross_mj")}
    assert str(name).startswith("command python")
    for row in figures(lab, "energy_gross_mj"):
        assert row["value"] == pytest.approx(WATTS * float(str(row["mean_ns"])) / 1e6, rel=1e-3)
    above, u95 = figures(lab, "energy_mj"), figures(lab, "energy_u95_mj")
    assert len(above) == 2, "what is at or about zero is kept"
    for value, width in zip(above, u95, strict=True):
        assert abs(float(str(value["value"]))) <= float(str(width["value"])) + 1e-6
    for account in lab.rows(ACCOUNTS):
        assert (account["reason"], account["energy_reason"]) == (None, None)
        assert 0 < account["clock_uncertainty_ns"] < 1_000_000_000
        assert account["samples"] >= 60
    assert lab.rows("SELECT count(*) AS n FROM power_trace") == [{"n": 2}]
    assert {row["source"] for row in lab.rows("SELECT source FROM v_latest WHERE metric = 'energy_mj'")} == {name}


def test_a_recording_of_another_tool_is_joined_afterwards_and_again(lab: Lab) -> None:
    lab.add_local("desk", power=[{"csv": True, "period_s": 0.02}])
    begin = time.time()
    done = lab.run("run", str(lab.write_exec_sweep(PROGRAM, trials=2)), timeout_s=200)
    assert done.returncode == ExitCode.FINE, done.stderr
    assert figures(lab, "energy_gross_mj") == []
    assert {row["reason"] for row in lab.rows(ACCOUNTS)} == {
        "the readings of the controller's meter have not been joined yet"
    }
    count = round((time.time() - begin) * 50) + 100
    for watts in (4.0, 8.0):
        lines = "".join(f"{begin - 1 + index / 50:.6f};{watts * 1000}\n" for index in range(count))
        lab.write("power.csv", "time;power_mw\n" + lines)
        done = lab.run(
            "power", "import", "last", "power.csv", "--device", "desk", "--name", "joulescope", "--accuracy", "0.5"
        )
        assert done.returncode == ExitCode.FINE, done.stderr
        assert "joulescope: 2 trials of desk have figures, 0 have none" in done.stderr
        assert "joulescope" in done.stdout
        for row in figures(lab, "energy_gross_mj"):
            assert row["value"] == pytest.approx(watts * float(str(row["mean_ns"])) / 1e6, rel=1e-3)


def test_a_plug_that_is_not_there_costs_its_figures_and_nothing_else(lab: Lab) -> None:
    with http_plug(shelly(lambda: WATTS)) as address:
        pass
    lab.add_local("desk", power=[{"shelly": address, "period_s": 0.05}])
    done = lab.run("run", str(lab.write_exec_sweep(PROGRAM, trials=1)), timeout_s=200)
    assert done.returncode == ExitCode.FINE, done.stderr
    assert "refused" in done.stderr
    assert [row["reason"] for row in lab.rows(ACCOUNTS)] == ["the meter has no reading of that time"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("last", "power.csv", "--device", "nobody"), "has no measured trial of nobody"),
        (("last", "none.csv", "--device", "desk"), "none.csv: No such file"),
        (("last", "bad.csv", "--device", "desk"), "bad.csv:1: no time in seconds"),
    ],
)
def test_an_import_that_cannot_be_says_why(lab: Lab, arguments: tuple[str, ...], words: str) -> None:
    lab.add_local("desk")
    assert lab.run("run", str(lab.write_exec_sweep(trials=1))).returncode == ExitCode.FINE
    lab.write("power.csv", "1772353800 5\n")
    lab.write("bad.csv", "noon 5\n")
    done = lab.run("power", "import", *arguments)
    assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.USAGE, False)
    assert words in done.stderr
