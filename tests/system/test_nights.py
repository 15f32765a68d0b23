"""Real nights on this machine: a program that busy-waits, made slower, faster, broken, or cut off in the middle."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.store.store import open_store
from tests.lab import REPOSITORY, Lab
from tests.servers import processes
from tests.slowed import slow_down

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PROGRAM = """\
import json, os, time
from pace import WORK_NS
model = open(os.environ["BENCHFLEET_MODEL"], "rb").read(8)
if model[4:8] != b"TFL3":
    print(json.dumps({"failure": {"kind": "load-error", "message": "not a model"}}))
    raise SystemExit
samples = []
for _ in range(30):
    # By the processor's time, which other work on the machine does not lengthen.
    began = time.thread_time_ns()
    while time.thread_time_ns() - began < WORK_NS:
        pass
    samples.append(time.thread_time_ns() - began)
print(json.dumps({"runtime": {"name": "busy", "version": "1"}}))
print(json.dumps({"metric": "latency_ns", "samples": samples}))
print(json.dumps({"done": True}))
"""
USUAL_NS, SLOWER_NS = 200_000, 260_000
RUN = ("nightly", "run", "nightly.yaml")


class NightLab(Lab):
    """A lab with a nightly of two cells and a canary."""

    def begin(self, **fields: Any) -> None:
        self.add_local("here")
        shutil.copytree(REPOSITORY / "models" / "digits", self.directory / "models" / "digits")
        self.write("sweeps/bench.py", PROGRAM)
        self.write("canary/bench.py", PROGRAM)
        self.write("canary/pace.py", f"WORK_NS = {USUAL_NS}\n")
        self.set_pace(USUAL_NS)
        self.write_sweep("sweeps/busy.yaml", "busy", ["fp32", "int8"], 5)
        self.write_sweep("canary/canary.yaml", "canary", ["fp32"], 3)
        nightly = {
            "nightly": "busy",
            "sweeps": ["sweeps/busy.yaml"],
            "canaries": ["canary/canary.yaml"],
            # This machine is shared with other tests: a busy-wait of 30 % is far beyond its noise, 5 % is not.
            "min_effects": {"latency": 0.1},
            **fields,
        }
        self.write("nightly.yaml", json.dumps(nightly))

    def write_sweep(self, path: str, name: str, variants: list[str], trials: int) -> None:
        runtime = {"exec": {"name": "busy", "command": ["python3", "bench.py"], "files": ["bench.py", "pace.py"]}}
        sweep = {
            "sweep": name,
            "model": "../models/digits",
            "variants": variants,
            "runtimes": [runtime],
            "trials": trials,
        }
        self.write(path, json.dumps(sweep))

    def set_pace(self, work_ns: int) -> None:
        """Make another build of the program."""
        self.write("sweeps/pace.py", f"WORK_NS = {work_ns}\n")

    def night(self, *flags: str, ends: ExitCode) -> Mapping[str, Any]:
        """Run a night to its end, and return the report."""
        done = self.run(*RUN, *flags, "--json", timeout_s=300)
        assert done.stdout, done.stderr
        found: Mapping[str, Any] = json.loads(done.stdout)
        assert done.returncode == ends, (found["headline"], found["cells"], found["lost"], done.stderr)
        return found

    def rerun_trials(self) -> int:
        """Return how many trials of a confirmation are committed."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM attempt JOIN trial ON trial.id = attempt.trial_id"
                " JOIN run_device ON run_device.id = trial.run_device_id"
                " JOIN night_run ON night_run.run_id = run_device.run_id"
                " WHERE attempt.counted AND night_run.stage = 'confirmation'"
            )
            return int(found.fetchone()[0])

    def remember_nights(self, count: int) -> None:
        """Put so many nights like the last one before that night, by the store: history without the hours."""
        with open_store(str(self.database)) as store:
            newest = store.nights.nights("busy", limit=1)[0]
            assert newest.report is not None
            for number in range(count):
                report = json.loads(json.dumps(newest.report))
                began = newest.began_at + timedelta(seconds=number)
                night = f"{newest.id}-old-{number}"
                report |= {"night": night, "began_at": began.isoformat()}
                for place, cell in enumerate(report["cells"]):
                    # A little apart, as nights are.
                    cell["memory"]["value"] += 0.002 * ((number + place) % 3 - 1)
                for value in report["canary_values"]:
                    value["value"] += 0.002 * (number % 3 - 1)
                store.nights.begin_night(night, "busy")
                store.nights.end_night(night, 0, report)


@pytest.fixture
def lab(tmp_path: Path) -> NightLab:
    return NightLab(tmp_path)


def verdicts(report: Mapping[str, Any]) -> dict[str, str]:
    return {cell["variant"]: cell["verdict"] for cell in report["cells"]}


def test_a_slower_build_is_confirmed_the_first_night_and_its_fix_is_noticed(lab: NightLab) -> None:
    lab.begin(outputs={"html": "out/{night}.html", "junit": "out/junit.xml"})
    first = lab.night(ends=ExitCode.FINE)
    assert set(verdicts(first).values()) == {"inconclusive"}
    lab.remember_nights(9)

    same = lab.night("--again", ends=ExitCode.FINE)
    assert set(verdicts(same).values()) <= {"clean", "suspected"}  # suspected: identical bytes on a busy machine
    assert same["canaries"][0]["shift"] is not None

    lab.set_pace(SLOWER_NS)
    slower = lab.night(ends=ExitCode.REGRESSION)
    assert slower["night"] != same["night"], "another build of the same day has a night of its own"
    assert verdicts(slower) == {"fp32": "confirmed", "int8": "confirmed"}
    for cell in slower["cells"]:
        assert cell["estimate"]["basis"] == "rerun"
        assert 1.25 < cell["estimate"]["low"] < cell["estimate"]["high"] < 1.35
        assert lab.json("sql", cell["sql"])
    assert {run["stage"] for run in slower["runs"]} >= {"canary", "first-look", "confirmation"}
    (group,) = [group for group in slower["groups"] if group["verdict"] == "confirmed"]
    assert group["cells"] == 2
    assert "confirmed" in (lab.directory / "out" / f"{slower['night']}.html").read_text()
    assert 'failures="2"' in (lab.directory / "out" / "junit.xml").read_text()

    stands = lab.night("--again", ends=ExitCode.REGRESSION)
    assert all(run["stage"] != "confirmation" for run in stands["runs"])

    lab.set_pace(USUAL_NS)
    fixed = lab.night("--again", ends=ExitCode.FINE)
    assert verdicts(fixed) == {"fp32": "fixed", "int8": "fixed"}
    states = {one["state"] for one in lab.json("regressions", "list", "--all")}
    assert states == {"fixed"}


def test_a_night_that_is_killed_goes_on_and_measures_nothing_twice(lab: NightLab) -> None:
    lab.begin()
    lab.night(ends=ExitCode.FINE)
    lab.set_pace(SLOWER_NS)

    controller = lab.start(*RUN, "--again")
    processes.wait_until(lambda: lab.rerun_trials() >= 2, "the interleaved rerun is under way", 120)
    controller.kill()
    controller.wait()
    cut_off = lab.json("nightly", "list")[0]
    assert cut_off["state"] == "under-way"
    before = [run["run"] for run in lab.json("runs", "list")]

    report = lab.night(ends=ExitCode.REGRESSION)

    assert report["night"] == cut_off["night"]
    assert verdicts(report) == {"fp32": "confirmed", "int8": "confirmed"}
    assert [run["run"] for run in lab.json("runs", "list")] == before, "every run is found again"
    for run in report["runs"]:
        assert set(lab.counts("here", run["run"])) == {1}
    twice = lab.rows("SELECT trial_id FROM attempt WHERE outcome = 'ok' GROUP BY trial_id HAVING count(*) > 1")
    assert not twice
    # Once more: the night of the day has ended, and is shown.
    assert lab.night(ends=ExitCode.REGRESSION)["ended_at"] == report["ended_at"]
    assert [run["run"] for run in lab.json("runs", "list")] == before

    for one in lab.json("regressions", "list"):
        lab.json("regressions", "accept", str(one["id"]), "--reason", "the price of a better filter")
    accepted = lab.night("--again", ends=ExitCode.FINE)
    assert not {"confirmed", "missing"} & set(verdicts(accepted).values()), "an accepted level does not come back"


def test_a_cell_that_its_sweep_has_lost_is_missing(lab: NightLab) -> None:
    lab.begin()
    lab.night(ends=ExitCode.FINE)
    lab.write_sweep("sweeps/busy.yaml", "busy", ["fp32"], 5)

    report = lab.night("--again", ends=ExitCode.REGRESSION)

    assert verdicts(report) == {"fp32": "inconclusive", "int8": "missing"}

    again = lab.run(*RUN)
    assert again.returncode == ExitCode.REGRESSION
    assert "has ended already, and nothing is measured" in again.stderr
    # An ended night has no verdict on another file.
    nightly = json.loads((lab.directory / "nightly.yaml").read_text())
    lab.write("nightly.yaml", json.dumps({**nightly, "confirm": {"trials_most": 10}}))
    changed = lab.run(*RUN)
    assert changed.returncode == ExitCode.USAGE
    assert "has changed since the night" in changed.stderr


def test_a_candidate_that_does_not_load_needs_no_statistics(lab: NightLab) -> None:
    lab.begin(
        candidate={
            "artifacts": {"digits": {"int8": "build/int8.tflite"}},
            "command": ["sh", "make.sh"],
        }
    )
    lab.write("make.sh", "mkdir -p build && cp models/digits/digits-int8.tflite build/int8.tflite\n")
    refused = lab.run(*RUN)
    assert refused.returncode == ExitCode.USAGE
    assert "--allow-command" in refused.stderr
    assert not (lab.directory / "build").exists()

    lab.night("--allow-command", ends=ExitCode.FINE)
    lab.write("make.sh", "echo broken > build/int8.tflite\n")
    broken = lab.night("--allow-command", "--again", ends=ExitCode.REGRESSION)

    found = {cell["variant"]: cell for cell in broken["cells"]}
    assert found["fp32"]["verdict"] == "inconclusive"
    assert found["int8"]["verdict"] in {"missing", "does-not-load"}
    assert "not a model" in found["int8"]["reason"]
    shown = lab.run("nightly", "show", "last")
    assert shown.returncode == ExitCode.REGRESSION
    assert "not a model" in shown.stdout

    lab.write("make.sh", "exit 7\n")
    failed = lab.run(*RUN, "--allow-command", "--again")
    assert failed.returncode == ExitCode.INFRASTRUCTURE
    assert "ended with 7" in failed.stderr


def test_a_night_without_any_device_is_no_verdict(lab: NightLab) -> None:
    lab.begin()
    lab.night(ends=ExitCode.FINE)
    lab.devices["here"]["python"] = "/nowhere/python3"
    lab.write("inventory/lab.yaml", json.dumps({"devices": lab.devices}))

    report = lab.night("--again", ends=ExitCode.INFRASTRUCTURE)

    assert [one["device"] for one in report["lost"]] == ["here"]
    assert not [cell for cell in report["cells"] if cell["verdict"] in {"missing", "confirmed"}]


def test_another_nightly_file_does_not_go_on_with_a_night(lab: NightLab) -> None:
    lab.begin()
    controller = lab.start(*RUN)
    processes.wait_until(lambda: bool(list(lab.directory.glob("nights/*.json"))), "the night has begun", 60)
    controller.kill()
    controller.wait()
    nightly = json.loads((lab.directory / "nightly.yaml").read_text())
    lab.write("nightly.yaml", json.dumps({**nightly, "confirm": {"trials_most": 10}}))

    changed = lab.run(*RUN)

    assert changed.returncode == ExitCode.USAGE
    assert "has changed since the night" in changed.stderr
    assert "--again" in changed.stderr


@pytest.mark.network
def test_a_slower_artifact_is_confirmed_beside_the_baselines_bytes(lab: NightLab) -> None:
    # Another network under the same name. Of two variants the processor decides which one is the faster.
    lab.begin(
        candidate={"artifacts": {"digits": {"fp32": "build/fp32.tflite"}}},
        canaries=[],
        min_effects={"latency": 0.1, "memory": 0.1},
    )
    sweep = {
        "sweep": "busy",
        "model": "../models/digits",
        "variants": ["fp32"],
        "runtimes": ["ai-edge-litert==2.3.0"],
        "measure": {"warmup": {"runs_min": 5, "seconds_min": 0.05}, "runs_min": 50, "seconds_min": 0.1},
        "trials": 5,
        "accuracy": {"dataset": "digits-test.npz", "metric": "top1"},
    }
    lab.write("sweeps/busy.yaml", json.dumps(sweep))
    models, candidate = REPOSITORY / "models" / "digits", lab.directory / "build" / "fp32.tflite"
    candidate.parent.mkdir()
    shutil.copy(models / "digits-fp32.tflite", candidate)
    lab.night(ends=ExitCode.FINE)
    candidate.write_bytes(slow_down(candidate.read_bytes(), 10))

    report = lab.night("--again", ends=ExitCode.REGRESSION)

    found = {cell["metric"]: cell for cell in report["cells"]}
    assert found["latency_ns"]["verdict"] == "confirmed"
    assert found["latency_ns"]["estimate"]["low"] > 1.1
    assert found["accuracy_top1"]["verdict"] == "clean"
    assert found["rss_bytes_max"]["value"] > 1e6
    rerun = lab.rows(
        "SELECT DISTINCT variant, model_sha256 FROM v_history JOIN night_run ON run_id = run"
        " WHERE stage = 'confirmation' ORDER BY variant"
    )
    assert [(row["variant"], row["model_sha256"]) for row in rerun] == [
        ("fp32", hashlib.sha256(candidate.read_bytes()).hexdigest()),
        ("fp32.baseline", hashlib.sha256((models / "digits-fp32.tflite").read_bytes()).hexdigest()),
    ]
