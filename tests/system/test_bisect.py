"""The first bad build is found by real runs of a program that sleeps, and a search that was cut off goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.domain.regression import Actor, Direction, Move, RegressionState, Suspicion
from orchestrator.store.store import open_store
from tests.lab import Lab
from tests.system.test_nights import SLOWER_NS, USUAL_NS, NightLab

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

PROGRAM = """\
import json, os, time
model = open(os.environ["BENCHFLEET_MODEL"], "rb").read()
print(json.dumps({"runtime": {"name": "python", "version": "1"}}))
samples = []
for _ in range(8):
    began = time.perf_counter_ns()
    time.sleep(PAUSE_S + (0.01 if model == b"slow" else 0))
    samples.append(time.perf_counter_ns() - began)
print(json.dumps({"metric": "latency_ns", "samples": samples}))
print(json.dumps({"done": True}))
"""
FAST_S, SLOW_S = 0.02, 0.03


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.add_local("here", exclusive=False)
    return made


def program(pause_s: float | None, remark: str = "") -> str:
    """Return the text of a program, None for one that does not run."""
    if pause_s is None:
        return "raise SystemExit('no build')\n"
    return f"# build {remark}\n" + PROGRAM.replace("PAUSE_S", str(pause_s))


def sweep(lab: Lab, pause_s: float | None, ends: ExitCode = ExitCode.FINE) -> str:
    """Run the sweep of the regression's cell to its end, and return the run."""
    lab.write("bench.py", program(pause_s))
    runtime = {"exec": {"name": "pause", "command": ["python3", "bench.py"], "files": ["bench.py"]}}
    file = lab.write_exec_sweep(name="nightly", runtimes=[runtime], trials=5)
    done = lab.run("run", str(file), "--json")
    assert done.returncode == ends, done.stdout + done.stderr
    return str(json.loads(done.stdout)["record"]["header"]["run"])


def regression(lab: Lab, before: str, after: str) -> int:
    """Put the regression on record as a night does."""
    with open_store(str(lab.database)) as store:
        store.nights.begin_night("night-1", "lab")
        (cell,) = store.results.cell_results(after, "latency_ns")
        assert cell.series is not None
        suspicion = Suspicion("lab", "night-1", cell.series, "latency_ns", Direction.ROSE, after, before)
        found = store.regressions.suspect(suspicion, "cron@lab")
        store.regressions.move(found.id, Move(RegressionState.CONFIRMED, Actor.NIGHT, "cron@lab", night="night-1"))
        return found.id


def builds(lab: Lab, pauses: list[float | None]) -> Path:
    """Write a build for each pause, None for one that does not run, and return the list of them."""
    names = []
    for number, pause_s in enumerate(pauses):
        lab.write(f"builds/{number}/bench.py", program(pause_s, str(number)))
        names.append(f"{number}/bench.py")
    return lab.write("builds/list.txt", "\n".join(names) + "\n")


def searched(
    lab: Lab, found: int, candidates: Path, code: ExitCode = ExitCode.FINE, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    done = lab.run("bisect", str(found), "--candidates", str(candidates), *more, "--json", timeout_s=600)
    assert done.returncode == code, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def runs(lab: Lab) -> list[str]:
    return [run["run"] for run in lab.json("runs", "list")]


def test_the_first_bad_build_is_found_and_the_same_command_measures_nothing_again(lab: Lab) -> None:
    found = regression(lab, sweep(lab, FAST_S), sweep(lab, SLOW_S))
    candidates = builds(lab, [FAST_S, None, SLOW_S, SLOW_S])
    answer = searched(lab, found, candidates)
    assert (answer["outcome"], answer["replaces"], answer["steps_expected"]) == ("found", "program", 3)
    assert answer["suspects"] == ["1/bench.py", "2/bench.py"], "one of which does not run"
    assert answer["last_good"] == "0/bench.py"
    answers = {step["index"]: step["answer"] for step in answer["steps"]}
    assert answers == {3: "bad", 1: "unjudged", 2: "bad"}
    ratios = {step["index"]: step["figures"]["ratio"] for step in answer["steps"] if step["figures"]}
    assert ratios == {3: pytest.approx(1.5, rel=0.2), 2: pytest.approx(1.5, rel=0.2)}
    measured = runs(lab)
    assert len(measured) == 2 + 3
    assert searched(lab, found, candidates) == answer
    assert runs(lab) == measured, "every step is found again"
    shown = lab.run("bisect", str(found), "--candidates", str(candidates))
    assert shown.stderr.startswith("4 candidates: at most 3 steps, each of 5 to 30 trials a side on here\n")
    assert "first bad: one of 1/bench.py, 2/bench.py, after 0/bench.py" in shown.stdout


def test_a_search_that_was_cut_off_goes_on_with_the_run_that_is_there(lab: Lab) -> None:
    found = regression(lab, sweep(lab, FAST_S), sweep(lab, SLOW_S))
    candidates = builds(lab, [FAST_S, SLOW_S])
    lab.devices["here"]["state_dir"] = "/proc/nowhere"
    lab.add_local("here", exclusive=False, state_dir="/proc/nowhere")
    cut_off = searched(lab, found, candidates, ExitCode.INCOMPLETE)
    assert (cut_off["outcome"], cut_off["steps"], cut_off["suspects"]) == ("cut-off", [], [])
    assert "here: " in cut_off["reason"]
    before = runs(lab)
    lab.add_local("here", exclusive=False)
    answer = searched(lab, found, candidates)
    assert (answer["outcome"], answer["suspects"]) == ("found", ["1/bench.py"])
    assert runs(lab) == before, "the run was there, and has its results now"


def test_a_build_that_does_not_run_is_bad_where_that_is_the_regression(lab: Lab) -> None:
    found = regression(lab, sweep(lab, FAST_S), sweep(lab, None, ExitCode.INCOMPLETE))
    answer = searched(lab, found, builds(lab, [FAST_S, FAST_S, None]))
    assert (answer["outcome"], answer["suspects"], answer["last_good"]) == ("found", ["2/bench.py"], "1/bench.py")
    assert "no build" in answer["steps"][0]["reason"]


def test_artifacts_are_searched_with_the_program_that_measured_them(lab: Lab) -> None:
    found = regression(lab, sweep(lab, FAST_S), sweep(lab, FAST_S))
    lab.write("bench.py", "raise SystemExit('edited since')\n")
    for name, text in {"good": "1", "also-good": "2", "bad": "slow", "as-bad": "slow"}.items():
        lab.write(f"builds/{name}.tflite", text)
    candidates = lab.write("builds/list.txt", "good.tflite\nalso-good.tflite\nbad.tflite\nas-bad.tflite\n")
    answer = searched(lab, found, candidates, more=("--replaces", "artifact"))
    assert (answer["outcome"], answer["suspects"]) == ("found", ["bad.tflite"])
    assert answer["last_good"] == "also-good.tflite"
    assert {step["index"]: step["run"] is None for step in answer["steps"]} == {3: False, 1: False, 2: True}
    models = {one["model"] for one in lab.rows("SELECT DISTINCT model, variant FROM v_latest")}
    assert models == {"digits", "digits-bisect"}, "the model's own newest values are left alone"


def test_what_the_last_build_does_not_show_is_not_searched_for(lab: Lab) -> None:
    found = regression(lab, sweep(lab, FAST_S), sweep(lab, SLOW_S))
    answer = searched(lab, found, builds(lab, [FAST_S, SLOW_S, FAST_S]), ExitCode.INCOMPLETE)
    assert (answer["outcome"], [step["index"] for step in answer["steps"]]) == ("not-reproduced", [2])
    assert answer["suspects"] == []


def test_a_regression_of_a_real_night_is_searched_after_its_files_have_changed(tmp_path: Path) -> None:
    lab = NightLab(tmp_path)
    lab.begin()
    lab.night(ends=ExitCode.FINE)
    lab.set_pace(SLOWER_NS)
    lab.night("--again", ends=ExitCode.REGRESSION)
    lab.set_pace(USUAL_NS)
    for number, work_ns in enumerate((USUAL_NS, USUAL_NS, SLOWER_NS, SLOWER_NS)):
        lab.write(f"builds/{number}/pace.py", f"WORK_NS = {work_ns}  # build {number}\n")
    candidates = lab.write("builds/list.txt", "".join(f"{number}/pace.py\n" for number in range(4)))
    found = next(one["id"] for one in lab.json("regressions", "list") if one["series"]["variant"] == "int8")
    answer = searched(lab, found, candidates)
    assert (answer["outcome"], answer["suspects"], answer["last_good"]) == ("found", ["2/pace.py"], "1/pace.py")
    ratio = next(step["figures"]["ratio"] for step in answer["steps"] if step["answer"] == "bad")
    assert ratio == pytest.approx(1.3, rel=0.05)
