"""Whether percentiles are LoadGen's, what the stop rule of a sweep saves, and whether intervals still cover.

Cells are simulated trial by trial. The rule looks as it does on a device; the interval is the one that people see.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure
from benchmarks.pairs import CV as DRAWN_CV
from benchmarks.pairs import FIXED_PLAN, draw
from device_worker.protocol.fields import Fields
from device_worker.protocol.plan import StopRule
from device_worker.runner.stopping import look_at
from device_worker.trial.scenarios import percentile
from orchestrator.analysis.levels import levels
from orchestrator.analysis.ratio import measured, ratios

SEED = 20_261_131
"""Not used for tuning, which saw seeds below 200."""
HALF_WIDTH = 0.01
TRUTH = 1e9
TRIALS_MAX = 20
CELLS = 20
"""Cells of a device: their noise is learnt together, as a comparison does."""


@dataclass(frozen=True, slots=True)
class World:
    """Hold a kind of noise. The cells' coefficients of variation lie between `low` and `high`, evenly on logarithms."""

    name: str
    kind: str
    low: float
    high: float


WORLDS = (
    World("CV 1 %", "iid", 0.01, 0.01),
    World("CV 2 %", "iid", 0.02, 0.02),
    World("fleet, CV 0.34 to 1.6 %", "iid", 0.0034, 0.016),
    World("fleet, 5 % of trials far off", "outliers", 0.0034, 0.016),
    World("fleet, heavy tails", "heavy tails", 0.0034, 0.016),
)


def measure(*, quick: bool = False) -> Iterator[Figure]:
    """Ask LoadGen, then simulate devices of many cells under the stop rule."""
    yield from loadgen_figures()
    devices = 4 if quick else 100
    for place, world in enumerate(WORLDS):
        yield from stop_figures(world, SEED + place, devices)


def stop_figures(world: World, seed: int, devices: int) -> Iterator[Figure]:
    """Yield coverage and device time of cells under the stop rule."""
    random = np.random.default_rng(seed)
    rule = StopRule(Fields({"ci_halfwidth": HALF_WIDTH, "trials_max": TRIALS_MAX, "device_s_max": None}, "stop"))
    covered, alone, ratio_covered, trials = [], [], [], []
    for _ in range(devices):
        cells = [_stopped(random, world, rule) for _ in range(CELLS)]
        trials += [len(cell) for cell in cells]
        covered += [_covers(level.low, TRUTH, level.high) for level in levels(cells) if level is not None]
        alone += [_covers(level.low, TRUTH, level.high) for cell in cells for level in levels([cell]) if level]
        half = CELLS // 2
        found = ratios(measured(cells, ["device"] * CELLS), [(place, half + place) for place in range(half)])
        ratio_covered += [_covers(one.low, 1.0, one.high) for one in found]
    name = f"stop rule, {world.name}"
    usual = world.kind != "heavy tails"
    yield Figure(f"{name}: coverage of a cell", float(np.mean(covered)), "", 0.98, 0.925 if usual else None)
    yield Figure(f"{name}: coverage of a cell alone", float(np.mean(alone)), "", 0.98, 0.91 if usual else None)
    yield Figure(f"{name}: coverage of a ratio", float(np.mean(ratio_covered)), "", 0.99, 0.925 if usual else None)
    yield Figure(f"{name}: trials of a cell", float(np.mean(trials)), "")
    yield Figure(f"{name}: device time saved of {TRIALS_MAX} trials", 1 - float(np.mean(trials)) / TRIALS_MAX, "")
    if world.name.startswith("fleet, CV"):
        yield Figure(f"{name}: device time of a fixed plan's", float(np.mean(trials)) / FIXED_PLAN, "", at_most=0.75)


def _stopped(random: np.random.Generator, world: World, rule: StopRule) -> Sequence[float]:
    cv = math.exp(random.uniform(math.log(world.low), math.log(world.high)))
    values = (TRUTH * np.exp(draw(random, world.kind, (1, 1, TRIALS_MAX))[0, 0] * cv / DRAWN_CV)).tolist()
    for count in range(1, TRIALS_MAX):
        if look_at(values[:count]).reason_to_stop(rule, 0.0) is not None:
            return list(values[:count])
    return list(values)


def _covers(low: float | None, truth: float, high: float | None) -> bool:
    return low is not None and high is not None and low <= truth <= high


def loadgen_figures() -> Iterator[Figure]:
    """Yield by how much our percentiles differ from those that LoadGen says of the same samples."""
    try:
        import mlperf_loadgen as loadgen
    except ImportError:  # it is for x86-64 alone
        return
    drawn = np.random.default_rng(SEED).exponential(1e-4, 1000)

    def answer(samples: Sequence[Any]) -> None:
        for sample in samples:
            until = time.perf_counter() + drawn[sample.id % len(drawn)]
            while time.perf_counter() < until:
                pass
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    with tempfile.TemporaryDirectory() as folder:
        settings, logs = loadgen.TestSettings(), loadgen.LogSettings()
        settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
        settings.min_query_count = settings.max_query_count = len(drawn)
        logs.enable_trace, logs.log_output.outdir = True, folder
        system = loadgen.ConstructSUT(answer, lambda: None)
        library = loadgen.ConstructQSL(8, 8, lambda _: None, lambda _: None)
        loadgen.StartTestWithLogSettings(system, library, settings, logs)
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
        trace = (Path(folder) / "mlperf_log_trace.json").read_text()
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    latencies = array("Q", map(int, re.findall(r'"complete_ns":(\d+)', trace)))
    said = re.findall(r"([0-9.]+) percentile latency \(ns\) *: *(\d+)", summary)
    differences = [abs(percentile(latencies, float(share) / 100) - int(value)) for share, value in said]
    yield Figure("LoadGen: samples, and percentiles of them", float(len(latencies)), "", at_least=float(len(drawn)))
    yield Figure(f"LoadGen: largest difference of {len(said)} percentiles", float(max(differences)), "ns", at_most=0.0)
