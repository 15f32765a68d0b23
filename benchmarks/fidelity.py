"""Whether a trial's p50 is what a bare loop around the invocation sees, in a process of the same kind.

Trials (the worker's own `trial` process, as its runner starts it) and bare loops (a dozen lines: load, warm up, and
time each invocation) take turns, so that drift meets both; the medians of their p50s are compared. Between processes
p50 itself differs by 0.5 to 2.5 %, which is why there are many rounds.

Every sampler of a runner is on beside a trial, and none beside a bare loop: power as fast as the fastest source is read
(RAPL), and the clocks under the trial's threads. Files of a tree stand for sensors that this machine may not have.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import device_worker
from benchmarks.figures import Figure
from device_worker.protocol.samples import decode_block
from device_worker.sensing.clocks import PERIOD_S, ClockWatch
from device_worker.sensing.power import rapl
from device_worker.sensing.power.sampler import Sampler
from device_worker.system.patient_reader import PatientReader
from device_worker.system.system_files import ROOT_VARIABLE
from orchestrator.bootstrap import Wiring
from orchestrator.domain.facts import Platform
from orchestrator.settings import load_settings
from orchestrator.specs.model import load_model
from orchestrator.specs.runtime import parse_runtime

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "worker"))

import power_fakes
from fixture_trees import write_tree

RUNTIME = "tflite-runtime==2.14.0"
MODULE = "tflite_runtime.interpreter"
ROUNDS = 21
READINGS_MIN = 60
"""Of power, in a trial of two seconds: the samplers are on."""
MEASURE = {
    "warmup_runs_min": 5,
    "warmup_seconds_min": 0.3,
    "runs_min": 50,
    "seconds_min": 1.0,
    "seconds_max": 20.0,
    "runs_max": 1_000_000,
}
MODELS = Path(__file__).parent.parent / "models"

BARE = """\
import gc, sys, time
sys.path.insert(0, sys.argv[1])
import numpy
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[2], num_threads=1)
interpreter.allocate_tensors()
detail = interpreter.get_input_details()[0]
interpreter.set_tensor(detail["index"], numpy.random.default_rng(7).random(detail["shape"], dtype="float32"))
invoke, clock = interpreter.invoke, time.perf_counter_ns
gc.collect()
gc.disable()
end = clock() + 300_000_000
while clock() < end:
    invoke()
samples = []
end = clock() + 1_000_000_000
while True:
    before = clock()
    invoke()
    after = clock()
    samples.append(after - before)
    if after > end:
        break
samples.sort()
print(samples[len(samples) // 2])
"""


def measure() -> list[Figure]:
    """Compare for the small and the larger model."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="benchfleet-fidelity-") as name:
        bundle = _unpacked_bundle(Path(name))
        os.environ[ROOT_VARIABLE] = write_tree(Path(name) / "sensors", {**power_fakes.FAKE_RAPL, **_clocks()})
        for model, in_ns in (("digits", True), ("mobilenet", False)):
            trial, bare = _p50s(model, bundle)
            figures += [
                Figure(f"{model} fp32 bare loop p50", bare / 1000, "us"),
                Figure(f"{model} fp32 trial p50", trial / 1000, "us"),
                Figure(f"{model} fp32 |trial / bare - 1|", abs(trial / bare - 1) * 100, "%", 1.0),
            ]
            if in_ns:
                figures.append(Figure(f"{model} fp32 |trial - bare|", abs(trial - bare) / 1000, "us", 0.3))
    return figures


def _p50s(model_name: str, bundle: Path) -> tuple[float, float]:
    model = load_model(MODELS / model_name)
    artifact = model.variants["fp32"].artifacts[0].path
    specification = {
        "job": {
            "job": "fidelity",
            "label": "fidelity",
            "variant": "fp32",
            "runtime": RUNTIME,
            "engine": "tflite",
            "module": MODULE,
            "settings": {"threads": 1},
            "python_path": [str(bundle)],
            "command": None,
            "model_path": artifact,
            "dataset_path": None,
            "files_dir": str(bundle),
            "input": {"low": 0.0, "high": 1.0},
            "dataset": None,
            "accuracy_metric": None,
        },
        "trial": "fidelity.1",
        "kind": "measure",
        "seed": 7,
        "measure": MEASURE,
    }
    worker = Path(device_worker.__file__).with_name("__main__.py")
    trial_argv = [sys.executable, "-I", str(worker), "trial"]
    bare_argv = [sys.executable, "-I", "-c", BARE, str(bundle), artifact]
    trials: list[float] = []
    bares: list[float] = []
    for number in range(ROUNDS):
        pair = [(trials, _trial_p50, trial_argv), (bares, _bare_p50, bare_argv)]
        for found, run, argv in pair if number % 2 else reversed(pair):
            found.append(run(argv, json.dumps(specification)))
    return statistics.median(trials), statistics.median(bares)


def _clocks() -> dict[str, str]:
    """Return the files of the clocks of all processors."""
    files = {"scaling_cur_freq": "1500000\n", "cpuinfo_max_freq": "1800000\n"}
    cpus = range(os.cpu_count() or 1)
    return {f"sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}": text for cpu in cpus for name, text in files.items()}


def _trial_p50(argv: Sequence[str], specification: str) -> float:
    source, clocks = rapl.open_source(), ClockWatch()
    assert source is not None
    sampler = Sampler(source, PatientReader())
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        sampler.begin()
        said, complaint = _watched(process, specification, clocks)
        sampler.end()
    line = next((one for one in map(json.loads, said.splitlines()) if one.get("metric") == "latency_ns"), None)
    if line is None:
        raise SystemExit(f"the trial measured nothing: {said[-500:]} {complaint[-500:]}")
    if len(sampler.trace) < READINGS_MIN or clocks.percent(None) is None:
        raise SystemExit(f"the samplers slept: {len(sampler.trace)} readings of power; {clocks.explain()}")
    return float(statistics.median(decode_block(line["packed"])))


def _watched(process: subprocess.Popen[str], specification: str, clocks: ClockWatch) -> tuple[str, str]:
    """Return what the trial says, and read clocks meanwhile, as often as a runner does."""
    question: str | None = specification
    while True:
        try:
            return process.communicate(question, timeout=PERIOD_S)
        except subprocess.TimeoutExpired:
            question = None  # it is on its way
            clocks.observe(process.pid)


def _bare_p50(argv: Sequence[str], _specification: str) -> float:
    return float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def _unpacked_bundle(folder: Path) -> Path:
    """Resolve the runtime for this very interpreter, as a plan would, and unpack it."""
    import platform

    wiring = Wiring(load_settings())
    libc = tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2])
    here = Platform(platform.machine(), sys.version_info[:2], (libc[0], libc[1]))
    offer = wiring.resolver().offer(parse_runtime(RUNTIME), here)
    if offer.bundle is None:
        raise SystemExit(f"{RUNTIME}: {offer.unavailable}")
    with zipfile.ZipFile(wiring.cache().path(offer.bundle)) as archive:
        archive.extractall(folder / "bundle")
    return folder / "bundle"
