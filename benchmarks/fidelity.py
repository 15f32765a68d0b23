"""Whether a trial's p50 is what a bare loop around the invocation sees, in a process of the same kind.

Trials (the worker's own `trial` process, as its runner starts it) and bare loops (a dozen lines: load, warm up, and
time each invocation) take turns, so that drift meets both; the medians of their p50s are compared. Between processes
p50 itself differs by 0.5 to 2.5 %, which is why there are many rounds.
"""

from __future__ import annotations

import json
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
from orchestrator.bootstrap import Wiring
from orchestrator.domain.facts import Platform
from orchestrator.settings import load_settings
from orchestrator.specs.model import load_model
from orchestrator.specs.runtime import parse_runtime

RUNTIME = "tflite-runtime==2.14.0"
MODULE = "tflite_runtime.interpreter"
ROUNDS = 21
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


def _trial_p50(argv: Sequence[str], specification: str) -> float:
    done = subprocess.run(argv, input=specification, capture_output=True, text=True, check=True)
    for line in map(json.loads, done.stdout.splitlines()):
        if line.get("metric") == "latency_ns":
            return float(statistics.median(decode_block(line["packed"])))
    raise SystemExit(f"the trial measured nothing: {done.stdout[-500:]} {done.stderr[-500:]}")


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
