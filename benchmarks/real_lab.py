"""A lab on this very machine: real trials of small models and of small programs, one after another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from device_worker.system import page_cache
from orchestrator.bootstrap import Wiring
from orchestrator.domain.device import USUAL_LIMITS
from orchestrator.domain.input_results import CellInputResults
from orchestrator.domain.measurement import Cell as MeasuredCell
from orchestrator.domain.measurement import CellResult
from orchestrator.reporting.base import RunDisplay
from orchestrator.reporting.formats.console import stderr_console
from orchestrator.reporting.live.progress import run_display
from orchestrator.services.devices.clean import CleaningScope, CleanRequest, clean
from orchestrator.services.runs.start import StartRequest, start
from orchestrator.settings import load_settings

DEVICE = "here"
"""One device alone: several on one machine would be each other's load, and the usual limits refuse such trials."""
NEW, OLD = "ai-edge-litert==2.3.0", "tflite-runtime==2.14.0"
_SECONDS = 0.03
_DIGITS = Path(__file__).parent.parent / "models" / "digits"
_DENSE_WEIGHTS = slice(5524, 5524 + 32 * 128)
"""Where digits-int8.tflite has the int8 weights of its dense layer."""
_COARSE_STEP = 96

_PROGRAM = """\
import os, sys, time, zlib
kind, slower = int(sys.argv[1]), int(sys.argv[2])
seconds = float(os.environ["BENCHFLEET_SECONDS_MIN"])
size = 200 + 40 * (kind // 4)
numbers = [(i * 2654435761) % 65536 for i in range(size)]
text = bytes(number % 256 for number in numbers) * 40
works = (
    lambda: sum(number * number for number in numbers),
    lambda: sorted(numbers),
    lambda: zlib.crc32(zlib.compress(text, 1)),
    lambda: {number: str(number) for number in numbers},
)
work, clock = works[kind % 4], time.perf_counter_ns
def once():
    begin = clock()
    work()
    end = clock()
    until = end + (end - begin) * slower // 100
    while end < until:
        end = clock()
    return end - begin
warm = clock() + 10_000_000
while clock() < warm:
    once()
samples, end = [], clock() + int(seconds * 1e9)
while clock() < end:
    samples.append(once())
print('{"runtime": {"name": "work", "version": "1"}}')
print('{"metric": "latency_ns", "samples": %s}' % samples)
print('{"done": true}')
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold what is measured: a variant on a runtime, or a program."""

    variant: str
    runtime: str | Program
    threads: int = 1

    @property
    def name(self) -> str:
        """Return the name that results have for the cell."""
        runtime = self.runtime if isinstance(self.runtime, str) else f"exec/{self.runtime.name}"
        return f"{self.variant} {runtime} threads={self.threads}"


@dataclass(frozen=True, slots=True)
class Program:
    """Hold a program: the kind of work, and the wait behind it, in per cent. Copies differ in the name alone."""

    kind: int
    slower_percent: int = 0
    copy: int = 0

    @property
    def name(self) -> str:
        """Return the name of the runtime."""
        return f"work-{self.kind}-{self.slower_percent}-{self.copy}"


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """Hold the trials of each cell that the usual limits allow. `refused` counts the others, of all `trials`."""

    values: Mapping[str, list[float]]
    refused: int
    trials: int


class RealLab:
    """Writes a lab below `folder`, and runs sweeps there with the product's own use cases.

    Limits of conditions are off: the caller asks which attempts the usual limits would have refused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state_dir = folder / "devices"
        self._sweeps = 0
        devices = {DEVICE: {"transport": "local", "state_dir": str(self._state_dir), "exclusive": False}}
        self._write("inventory/lab.yaml", {"devices": devices})
        (folder / "work.py").write_text(_PROGRAM)
        self._write_model()
        flags = {"db": f"sqlite:///{folder}/lab.db", "inventory": [str(folder / "inventory")]}
        self._wiring = Wiring(load_settings(flags))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._wiring.__exit__(None, None, None)

    def run(self, cells: Sequence[Cell], trials: int, seed: int) -> str:
        """Run cells with so many trials each, and return the run's id."""
        self._sweeps += 1
        sweep = {
            "sweep": "real",
            "model": "model",
            "variants": list(dict.fromkeys(cell.variant for cell in cells)),
            "runtimes": [self._runtime(runtime) for runtime in dict.fromkeys(cell.runtime for cell in cells)],
            "matrix": {"threads": list(dict.fromkeys(cell.threads for cell in cells))},
            "only": [self._rule(cell) for cell in cells],
            "accuracy": {"dataset": "digits-test.npz", "metric": "top1"},
            "trials": trials,
            "order": {"seed": seed},
            "limits": dict.fromkeys(USUAL_LIMITS),
            "measure": {"warmup": {"runs_min": 5, "seconds_min": 0.01}, "runs_min": 20, "seconds_min": _SECONDS},
        }
        path = self._write(f"sweep-{self._sweeps}.yaml", sweep)
        return start(StartRequest(path), self._wiring, self._shows).record.header.run

    def results(self, run: str) -> list[CellResult]:
        """Return the latency of each cell of a run."""
        return list(self._wiring.store.results.cell_results(run, "latency_ns"))

    def inputs(self, run: str) -> dict[str, CellInputResults]:
        """Return which inputs each cell of a run got right."""
        return {name_of(one.cell): one for one in self._wiring.store.results.cell_input_results(run)}

    def undisturbed(self, run: str) -> Undisturbed:
        """Return the trials of a run that the usual limits allow."""
        statement = (
            "SELECT job.label, measurement.value, attempt.conditions_after FROM attempt"
            " JOIN trial ON trial.id = attempt.trial_id JOIN job ON job.id = trial.job_id"
            " JOIN run_device ON run_device.id = trial.run_device_id"
            " JOIN measurement ON measurement.attempt_id = attempt.id"
            f" WHERE run_device.run_id = '{run}' AND trial.kind = 'measure' AND attempt.counted"
            " AND measurement.metric = 'latency_ns' ORDER BY attempt.id"
        )
        _names, rows = self._wiring.sql_console().query(statement)
        found, disturbed, trials = dict[str, list[float]](), 0, 0
        for label, value, conditions in rows:
            trials += 1
            if _is_disturbed(json.loads(conditions)):
                disturbed += 1
            else:
                found.setdefault(label.replace(" · ", " "), []).append(value)
        return Undisturbed(found, disturbed, trials)

    def clean(self) -> None:
        """Remove models, runtimes and logs from the device, as `devices clean` does."""
        answers = clean(CleanRequest((DEVICE,), None, CleaningScope()), self._wiring, lambda _device, _item: True)
        if any(isinstance(answer, Exception) for answer in answers.values()):
            raise SystemExit(f"the device was not cleaned: {answers}")

    def drop(self) -> None:
        """Drop everything that the device keeps from the page cache, as a lack of memory does."""
        os.sync()
        for path in self._state_dir.rglob("*"):
            if path.is_file() and not path.is_symlink():
                dropped = page_cache.drop(str(path))
                if dropped is not None:
                    dropped.close()

    def _rule(self, cell: Cell) -> Mapping[str, Any]:
        runtime = cell.runtime if isinstance(cell.runtime, str) else f"exec/{cell.runtime.name}"
        return {"variant": cell.variant, "runtime": runtime, "threads": cell.threads}

    def _runtime(self, runtime: str | Program) -> Any:
        if isinstance(runtime, str):
            return runtime
        command = ["python3", "-I", "-S", "work.py", str(runtime.kind), str(runtime.slower_percent)]
        return {"exec": {"name": runtime.name, "command": command, "files": [str(self._folder / "work.py")]}}

    def _shows(self, run: str) -> RunDisplay:
        return run_display(stderr_console(), silent=True)

    def _write(self, name: str, document: Mapping[str, Any]) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    def _write_model(self) -> None:
        int8 = (_DIGITS / "digits-int8.tflite").read_bytes()
        variants = {
            "fp32": (_DIGITS / "digits-fp32.tflite").read_bytes(),
            "fp16": (_DIGITS / "digits-fp16.tflite").read_bytes(),
            "dynamic": (_DIGITS / "digits-dynamic.tflite").read_bytes(),
            "int8": int8,
            "int8-coarse": _coarsened(int8),
            "int8-broken": int8[: len(int8) // 2],
        }
        folder = self._folder / "model"
        folder.mkdir()
        (folder / "digits-test.npz").write_bytes((_DIGITS / "digits-test.npz").read_bytes())
        declared = {}
        copies = {f"{name}-copy": variants[name] for name in ("fp32", "int8")}
        for name, content in {**variants, **copies}.items():
            (folder / f"{name}.tflite").write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            precision = name.partition("-")[0]
            declared[name] = {
                "file": f"{name}.tflite",
                "sha256": sha256,
                "precision": precision,
                "made": "for a benchmark",
            }
        dataset = hashlib.sha256((folder / "digits-test.npz").read_bytes()).hexdigest()
        self._write(
            "model/model.yaml",
            {
                "model": "digits",
                "description": "Digits, sound and spoilt.",
                "task": "classification",
                "license": "Apache-2.0",
                "input": {"shape": [1, 8, 8, 1], "dtype": "float32", "low": 0.0, "high": 1.0},
                "datasets": {"digits-test.npz": {"sha256": dataset, "samples": 360}},
                "variants": declared,
            },
        )


def name_of(cell: MeasuredCell) -> str:
    """Return the name of a measured cell, without its device."""
    return f"{cell.variant} {cell.runtime} threads={cell.settings['threads']}"


def _is_disturbed(readings: Mapping[str, Any]) -> bool:
    limits = ((key.replace("_max", ""), limit) for key, limit in USUAL_LIMITS.items())
    return any((readings.get(reading) or 0.0) > limit for reading, limit in limits)


def _coarsened(model: bytes) -> bytes:
    """Return the model with the weights of its dense layer on a coarse grid, as a bad calibration leaves them."""
    spoilt = bytearray(model)
    for place in range(*_DENSE_WEIGHTS.indices(len(model))):
        weight = spoilt[place] - 256 if spoilt[place] > 127 else spoilt[place]
        spoilt[place] = max(-128, min(127, round(weight / _COARSE_STEP) * _COARSE_STEP)) % 256
    return bytes(spoilt)
